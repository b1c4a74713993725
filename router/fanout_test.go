package router

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/weirhq/weir/router/api"
)

// One event that very many webhooks take reaches each of them once, while nothing
// fails, and what is asked about it stays small.
func TestOneEventForManyWebhooks(t *testing.T) {
	const webhooks = 500
	var mu sync.Mutex
	arrived, ids := map[string]int{}, map[string]bool{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		arrived[req.URL.Path]++
		ids[req.Header.Get("webhook-id")] = true
	}))
	defer receiver.Close()
	r := start(t, t.TempDir(), onLoopback, Options{})
	last := ""
	for i := range webhooks {
		last = register(t, r, fmt.Sprintf(`{"url":"%s/%d","events":["order.*"]}`, receiver.URL, i))
	}
	if status, answer, _ := call(t, r, "POST", "/events", `{"event":"order.paid","event_id":"big","data":{"total":1}}`); status != 202 {
		t.Fatal(status, answer)
	}
	var list api.DestinationList
	await(t, "all webhooks to have it", func() bool {
		lookUp(t, r, "/api/destinations?limit=1000", &list)
		delivered := uint64(0)
		for i := range list.Destinations {
			delivered += list.Destinations[i].Delivered
		}
		return delivered == webhooks
	})
	mu.Lock()
	defer mu.Unlock()
	if len(arrived) != webhooks || len(ids) != webhooks {
		t.Errorf("%d webhooks got it, under %d ids", len(arrived), len(ids))
	}
	for path, n := range arrived {
		if n != 1 {
			t.Errorf("%s got it %d times", path, n)
		}
	}
	var x api.Explanation
	if code := lookUp(t, r, "/api/events/big/explain?destination="+last, &x); code != 200 {
		t.Fatal(code)
	}
	if len(x.Routes) > 101 || x.MoreWebhooks != webhooks-len(x.Routes) || !strings.Contains(fmt.Sprint(x.Routes), last) {
		t.Errorf("the explanation has %d routes and says that there are %d more", len(x.Routes), x.MoreWebhooks)
	}
}
