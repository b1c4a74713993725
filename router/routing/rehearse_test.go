package routing

import (
	"context"
	"strings"
	"testing"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/event"
)

// A rehearsal says in what it is other than what was stored.
func TestRehearse(t *testing.T) {
	again := false // what the plugin sees that it must not
	var mark fake = func(m *event.Message) (*plugins.Result, error) {
		if again {
			return appending("?")(m)
		}
		return appending("!")(m)
	}
	x := table(t, `
route "r" {
  when    = event.data == "never"
  through = [plugin.split, plugin.mark]
  to      = [destination.one, destination.two]
}
route "fails" {
  through = [plugin.broken]
  to      = [destination.one]
}
`, map[string]fake{"split": splitting(2), "mark": mark, "broken": failing(plugins.ClassTrap)})
	e := &event.Event{Position: 7, ID: "e", Type: "t", Source: "events", ContentType: "application/json", Data: []byte(`"a"`)}
	first, err := x.Rehearse(context.Background(), e, "r", nil)
	if err != nil || first.Err != nil {
		t.Fatal(err, first.Err)
	}
	if len(first.Steps) != 3 || len(first.Messages) != 2 || string(first.Messages[1].Data) != `"a1!"` || string(first.Steps[2].Before.Data) != `"a1"` ||
		len(first.Steps[0].After) != 2 || len(first.Routing.Deliveries) != 4 {
		t.Fatalf("rehearsed as %+v", first)
	}
	if what := first.Differs(first.Routing, e, 0); what != "" {
		t.Errorf("it differs from itself: %s", what)
	}
	again = true
	second, err := x.Rehearse(context.Background(), e, "r", nil)
	if err != nil {
		t.Fatal(err)
	}
	if what := second.Differs(first.Routing, e, 0); what != "the data of message 0 is not what was delivered" {
		t.Errorf("other data: %q", what)
	}
	stored := first.Steps[1].Verdict
	stored.Fuel, stored.Duration = 9, 5
	if what := second.Steps[1].Differs(&stored); what != "it took 9 units of fuel, and now it takes 0" {
		t.Errorf("other fuel: %q", what)
	}
	stored.Transform = "dropped"
	if what := second.Steps[1].Differs(&stored); what != "it was dropped, and now it is changed" {
		t.Errorf("another verdict: %q", what)
	}
	broken, err := x.Rehearse(context.Background(), e, "fails", nil)
	if err != nil || broken.Err == nil || len(broken.Steps) != 1 || broken.Steps[0].Class != "trap" || len(broken.Messages) != 0 {
		t.Errorf("a failing plugin: %+v, %v", broken, err)
	}
	if what := broken.Differs(first.Routing, e, 0); !strings.Contains(what, "was delivered") {
		t.Errorf("nothing instead of messages: %q", what)
	}
	if _, err := x.Rehearse(context.Background(), e, "none", nil); err == nil {
		t.Error("there is no such route")
	}
}
