package dashboard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
)

// A route to thousands of destinations is drawn with some: those that are not well,
// and those that most goes to. The rest is counted.
func TestRouteToThousands(t *testing.T) {
	r := api.Route{Name: "all", From: []api.Flow{{Name: "events", Count: 9}}}
	for i := range 10_000 {
		r.To = append(r.To, api.Flow{Name: fmt.Sprintf("d%05d", i), Count: 1})
	}
	r.To[7000].Count = 50
	tones := map[string]string{"d09999": "failing"}
	shown, more := shownTo(r.To, tones)
	if len(shown) != drawnTo || shown[0].Name != "d09999" || shown[1].Name != "d07000" || shown[2].Name != "d00000" || more != 10_000-drawnTo {
		t.Fatalf("%d are shown, %v first, and %d went to the others", len(shown), shown[:3], more)
	}
	left := len(r.To) - len(shown)
	r.To = shown
	g := newGraph()
	g.add(&r, depth([]api.Route{r}), tones, left, more)
	if drawn := string(g.across("routes")); strings.Count(drawn, "<rect") != 1+1+drawnTo+1 || !strings.Contains(drawn, "9,980 more") || !strings.Contains(drawn, "destination, failing") {
		t.Error(drawn)
	}
	if few, more := shownTo(shown[:3], tones); len(few) != 3 || more != 0 {
		t.Errorf("of 3 there are %d, and %d more", len(few), more)
	}
}
