package router

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/metrics"
	"github.com/weirhq/weir/router/replay"
	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// countsPath makes the test binary a router, by the configuration there, that is busy
// until it is killed.
const countsPath = "WEIR_TEST_BUSY_WITH"

func TestMain(m *testing.M) {
	if path := os.Getenv(countsPath); path != "" {
		fmt.Fprintln(os.Stderr, busy(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// busy runs a router with all that is counted happening side by side. It ends with an
// error only.
func busy(path string) error {
	c, report := config.Load(path, config.Options{})
	if err := report.Err(); err != nil {
		return err
	}
	ctx := context.Background()
	r, err := New(ctx, c, Options{})
	if err != nil {
		return err
	}
	r.Handler()
	ask := func(method, path, body string) (answer map[string]any) {
		req := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		res, err := r.Handler().Test(req, -1)
		if err != nil {
			return nil
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		_ = json.Unmarshal(b, &answer) // what is no JSON has no answer
		return answer
	}
	for _, typ := range []string{"good", "flaky", "bad", "through"} {
		if _, err := r.Publish(ctx, Event{Type: typ, Data: []byte(`{}`)}); err != nil {
			return err
		}
	}
	fmt.Println("busy")
	errs := make(chan error, 8)
	again := func(f func() error) {
		go func() {
			for {
				if err := f(); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	for range 4 {
		again(func() error {
			e := Event{Type: []string{"good", "flaky", "bad", "through"}[rand.IntN(4)], Data: []byte(`{"exit":null}`)}
			if rand.IntN(4) == 0 {
				e.Tenant = "acme"
			}
			if e.Type == "through" && rand.IntN(3) == 0 {
				e.Data = []byte(`{"exit":3}`)
			}
			got, err := r.Publish(ctx, e)
			if err == nil && rand.IntN(10) == 0 && e.Type == "good" {
				ask("POST", "/api/events/"+got.EventID+"/replay", "{}")
			}
			return err
		})
	}
	again(func() error {
		ask("POST", "/api/dead-letters/retry", `{"all":true}`)
		ask("POST", "/api/replays", `{"type":"good","since":"1m"}`)
		time.Sleep(20 * time.Millisecond)
		return nil
	})
	again(func() error {
		ask("POST", "/api/destinations/stopped/cancel", "{}")
		time.Sleep(5 * time.Millisecond)
		return nil
	})
	again(func() error {
		x := ask("POST", "/api/webhooks", fmt.Sprintf(`{"url":%q,"events":["good","bad"]}`, os.Getenv("WEIR_TEST_RECEIVER")))
		id, _ := x["id"].(string)
		time.Sleep(30 * time.Millisecond)
		if rand.IntN(2) == 0 {
			ask("DELETE", "/api/webhooks/"+id, "")
		}
		return nil
	})
	return <-errs
}

// walked is what the store's events and deliveries say, one by one.
type walked struct {
	series map[stats.Key]*stats.Counts
	flows  map[stats.Flow]uint64
}

func (w *walked) at(k stats.Key) *stats.Counts {
	if w.series[k] == nil {
		w.series[k] = &stats.Counts{Failures: map[string]uint64{}}
	}
	return w.series[k]
}

// walk counts all. A delivery has two attempts until it is dead, each time.
func walk(t *testing.T, st store.Store) *walked {
	t.Helper()
	w := &walked{map[stats.Key]*stats.Counts{}, map[stats.Flow]uint64{}}
	for from := uint64(1); ; {
		events, err := st.Events(t.Context(), from, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return w
		}
		for _, e := range events {
			from = e.Position + 1
			all, err := st.Deliveries(t.Context(), e.Position)
			if errors.Is(err, store.ErrNotFound) {
				continue // it is not routed yet
			}
			if err != nil {
				t.Fatal(err)
			}
			w.at(stats.Key{Type: e.Type}).Events++
			w.flows[stats.Flow{Kind: stats.FromSource, Name: e.Source}]++
			switch e.Type {
			case "good", "flaky", "bad":
				w.flows[stats.Flow{Route: "all", Kind: stats.FromSource, Name: e.Source}]++
			case "through":
				w.flows[stats.Flow{Route: "through", Kind: stats.FromSource, Name: e.Source}]++
			}
			routing, err := st.Routing(t.Context(), e.Position)
			if err != nil {
				t.Fatal(err)
			}
			took := map[string]bool{} // a replay has the webhooks a second time
			for i := range routing.Matches {
				route := routing.Matches[i].Route
				if webhook.IsID(route) && !took[route] {
					w.flows[stats.Flow{Route: metrics.SharedWebhooks, Kind: stats.FromSource, Name: e.Source}]++
				}
				took[route] = true
				for _, v := range routing.Matches[i].Plugins {
					w.flows[stats.Flow{Route: route, Kind: stats.ThroughPlugin, Name: v.Plugin}]++
				}
			}
			for _, d := range all {
				if d.Delivery.Lane == store.RoutingLane {
					continue
				}
				if !webhook.IsID(d.Route) && d.Delivery.Replay == "" {
					w.flows[stats.Flow{Route: d.Route, Kind: stats.ToDestination, Name: d.Delivery.Lane}]++
				}
				c := w.at(stats.Key{Type: e.Type, Destination: d.Delivery.Lane})
				c.Attempts += uint64(len(d.Attempts))
				failed := 0
				for i := range d.Attempts {
					if d.Attempts[i].Number > 1 {
						c.Retries++
					}
					if reason := d.Attempts[i].Reason; reason != "" {
						c.Failures[reason]++
						failed++
					}
				}
				c.Dead += uint64(failed / 2)
				switch d.State {
				case store.Delivered:
					c.Delivered++
				case store.Cancelled:
					c.Cancelled++
				}
			}
		}
	}
}

// differences says what a router's statistics say that is not so.
func (w *walked) differences(t *testing.T, r *Router) (list []string) {
	t.Helper()
	a, err := r.book.Ask(stats.Query{ByType: true, ByDestination: true, Until: time.Now(), Window: stats.MaxWindow})
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.book.Ask(stats.Query{ByType: true, Until: time.Now(), Window: stats.MaxWindow})
	if err != nil {
		t.Fatal(err)
	}
	told := map[stats.Key]string{}
	for _, row := range a.Rows {
		told[row.Key] = fmt.Sprint(row.Counts)
	}
	for k, c := range w.series {
		if k.Destination == "" {
			continue
		}
		if len(c.Failures) == 0 {
			c.Failures = nil
		}
		if want, empty := fmt.Sprint(*c), fmt.Sprint(stats.Counts{}); (want == empty) != (told[k] == "") || told[k] != "" && told[k] != want {
			list = append(list, fmt.Sprintf("%v is %s, want %s", k, told[k], want))
		}
		delete(told, k)
	}
	for k, c := range told {
		list = append(list, fmt.Sprintf("%v is %s, and there is nothing of it", k, c))
	}
	for _, row := range b.Rows {
		if want := w.at(stats.Key{Type: row.Type}).Events; row.Events != want {
			list = append(list, fmt.Sprintf("%d events of type %s, want %d", row.Events, row.Type, want))
		}
	}
	flows, _ := r.book.Flows()
	if !maps.Equal(flows, w.flows) {
		list = append(list, fmt.Sprintf("went %v\nwant %v", flows, w.flows))
	}
	return list
}

// Whatever happens to events, and however often the router is killed meanwhile, it
// counts what its store has, no more and no less: by type, by destination, by the
// edges of routes.
func TestCountsAreTheStores(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		kind := req.Header.Get("X-Webhook-Event")
		if kind == "bad" || kind == "flaky" && req.Header.Get("X-Webhook-Attempt") == "1" {
			w.WriteHeader(500)
		}
	}))
	defer receiver.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "router.hcl")
	configure := func(through string) string {
		return onLoopback + fmt.Sprintf(`
store "badger" {
  path     = %[1]q
  min_free = "1MiB"
}
defaults {
  retry {
    schedule = ["0s", "2ms"]
    jitter   = 0
  }
  breaker {
    failures = 1000000
  }
}
plugin "p" {
  wasm = %[2]q
}
destination "crm" {
  url = %[3]q
}
destination "stopped" {
  url = "pull:"
}
destination "file" {
  url = "file://%[4]s"
}
route "all" {
  events = ["good", "flaky", "bad"]
  to     = [destination.crm, destination.stopped]
}
route "through" {
  events = ["through"]
  %[5]s
  to = [destination.file]
}
`, filepath.Join(dir, "data"), module(t, "exit"), receiver.URL, filepath.Join(dir, "out.jsonl"), through)
	}
	const kills = 4
	for round := range kills {
		through := "through = [plugin.p]"
		if round%2 == 1 {
			through = "" // so that what it has broken is routed again
		}
		if err := os.WriteFile(path, []byte(configure(through)), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), countsPath+"="+path, "WEIR_TEST_RECEIVER="+receiver.URL)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "busy\n" {
			t.Fatalf("the router said %q, %v", line, err)
		}
		time.Sleep(time.Duration(100+rand.IntN(200)) * time.Millisecond) // any moment is a good one
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
	}
	r := start(t, dir, configure(""), Options{})
	quiet := func() bool {
		for _, name := range []string{"crm", "file", store.RoutingLane} {
			if l, err := r.store.Lane(t.Context(), name); err != nil || l.Counts.Waiting+l.Counts.Retrying > 0 {
				return false
			}
		}
		return r.store.Last() == r.store.Progress() && len(engine{r}.webhooks.registry.Gone()) == 0
	}
	await(t, "all to end", func() bool {
		for _, x := range (engine{r}).Replays() {
			if x.Status == replay.Running {
				return false
			}
		}
		return quiet()
	})
	if moved, err := (engine{r}).MoveDead(t.Context(), store.DeliveryQuery{}, store.Retrying); err != nil || moved.Moved == 0 {
		t.Fatalf("%+v, %v", moved, err)
	}
	await(t, "those again", quiet)
	if _, err := (engine{r}).CancelDestination(t.Context(), "stopped"); err != nil {
		t.Fatal(err)
	}
	var diff []string
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // webhooks go on
		if diff = walk(t, r.store).differences(t, r); len(diff) == 0 || time.Now().After(end) {
			break
		}
	}
	for _, d := range diff {
		t.Error(d)
	}
	var list api.RouteList
	if code := lookUp(t, r, "/api/routes", &list); code != 200 || list.Sources[0].Events == 0 || list.Routes[0].To[0].Count == 0 || list.Webhooks == nil {
		t.Errorf("%d %+v", code, list)
	}
	w := walk(t, r.store)
	all := stats.Counts{}
	for k, c := range w.series {
		if !webhook.IsID(k.Destination) {
			all.Delivered, all.Dead, all.Cancelled, all.Retries = all.Delivered+c.Delivered, all.Dead+c.Dead, all.Cancelled+c.Cancelled, all.Retries+c.Retries
		}
	}
	t.Logf("%d events; %d delivered, %d dead, %d cancelled, %d retries", r.store.Last(), all.Delivered, all.Dead, all.Cancelled, all.Retries)
	if all.Delivered == 0 || all.Dead == 0 || all.Cancelled == 0 || all.Retries == 0 {
		t.Errorf("too little has happened: %+v", all)
	}
}
