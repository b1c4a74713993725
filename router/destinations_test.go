package router

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/weirhq/weir/router/api"
)

// What waits behind another of its key is told as waiting, by a router that runs and
// from the store alone.
func TestParkedAreWaiting(t *testing.T) {
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer busy.Close()
	dir := t.TempDir()
	hcl := fmt.Sprintf(`
server {
  listen = "127.0.0.1:0"
}
destination "crm" {
  url      = %q
  order_by = event.data.key
  retry {
    schedule = ["0s", "1h"]
  }
}
route "all" {
  to = [destination.crm]
}
`, busy.URL)
	r := start(t, dir, hcl, Options{})
	for i := range 6 {
		body := fmt.Sprintf(`{"key":%d}`, i%2)
		if _, err := r.Publish(t.Context(), Event{Type: "order", Data: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	var running, stored api.Destination
	await(t, "two to be retried, and the others behind them", func() bool {
		l, err := r.store.Lane(t.Context(), "crm")
		if err != nil {
			t.Fatal(err)
		}
		if code := lookUp(t, r, "/api/destinations/crm", &running); code != http.StatusOK {
			t.Fatal(code)
		}
		return l.Counts.Retrying == 6 && running.Retrying == 2 && running.Waiting == 4
	})
	shut(t, r)
	inspected := start(t, dir, hcl, Options{Inspect: true})
	if code := lookUp(t, inspected, "/api/destinations/crm", &stored); code != http.StatusOK {
		t.Fatal(code)
	}
	if stored.Retrying != 2 || stored.Waiting != 4 || stored.Depth != running.Depth {
		t.Errorf("from the store: %d retrying, %d waiting, %d in all", stored.Retrying, stored.Waiting, stored.Depth)
	}
}
