package dashboard_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

// stored is how many events the large store has: make pages takes a million. With
// less than two windows of a search, only what looks at less is measured, and times
// are told and not judged: they say more of how busy the machine is.
var stored = flag.Int("events", 5_000, "events of the store that the pages are measured with")

const (
	// window is how many events one page of a search looks at.
	window = 10_000
	// most is how much longer a page may take with many events than with few.
	most = 3
	// noise is what one measurement may be off.
	noise = 2 * time.Millisecond
)

// seed fills a store as a router would: events are routed, delivered to archive, and
// to crm but for one of forty, which is dead.
func seed(t *testing.T, path string, events int) {
	t.Helper()
	st, err := badger.Open(t.Context(), badger.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	const step = 500
	types := []string{"order.paid", "order.created", "user.created", "invoice.sent"}
	begin := time.Now().Add(-24 * time.Hour).UTC()
	for first := 1; first <= events; first += step {
		end := min(first+step, events+1)
		r := &store.Record{}
		archive, crm := store.LaneOutcomes{Lane: "archive"}, store.LaneOutcomes{Lane: "crm"}
		for p := first; p < end; p++ {
			at := begin.Add(24 * time.Hour * time.Duration(p) / time.Duration(events+1))
			e := &event.Event{
				ID: fmt.Sprintf("event-%d", p), Given: true, Type: types[p%len(types)], Source: "events", Time: at, Received: at, ContentType: "application/json",
				Data: fmt.Appendf(nil, `{"total": %d, "customer": {"id": "c%d", "email": "ada%d@example.com"}, "lines": [{"sku": "a-%d", "count": 1}, {"sku": "b-%d", "count": 2}]}`, p%500, p%1000, p, p%77, p%99),
			}
			r.Events = append(r.Events, store.NewEvent{Event: e})
			r.Routings = append(r.Routings, &store.Routing{
				Position: uint64(p), Config: "before", Matches: []store.Match{{Route: "all"}, {Route: "orders"}},
				Deliveries: []store.Delivery{{Match: 0, Content: -1, Lane: "archive"}, {Match: 1, Content: -1, Lane: "crm"}},
			})
			attempt := store.Attempt{Number: 1, Started: at.Add(time.Millisecond), Latency: 3 * time.Millisecond, Status: 200}
			archive.Outcomes = append(archive.Outcomes, store.Outcome{Ref: store.Ref{Position: uint64(p)}, From: store.Waiting, To: store.Delivered, Attempt: &attempt})
			o := store.Outcome{Ref: store.Ref{Position: uint64(p), Index: 1}, From: store.Waiting, To: store.Delivered, Attempt: &attempt}
			if p%40 == 0 {
				failed := attempt
				failed.Status, failed.Reason = 503, "status"
				o.To, o.Reason, o.Attempt, o.Tries = store.Dead, store.ReasonAttempts, &failed, 1
			}
			crm.Outcomes = append(crm.Outcomes, o)
		}
		archive.Cursor = &store.Cursor{Low: store.Ref{Position: uint64(end)}}
		crm.Cursor = &store.Cursor{Low: store.Ref{Position: uint64(end)}}
		for _, record := range []*store.Record{r, {Outcomes: []store.LaneOutcomes{archive, crm}}} {
			if _, err := st.Commit(t.Context(), record); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// A page takes no longer because much is stored, and a search no longer than with as
// much as one page of it looks at.
func TestPagesOfAMillion(t *testing.T) {
	sizes := map[string]int{"empty": 0, "a page": 100, "all": *stored}
	if *stored >= 2*window {
		sizes["a window"] = window
	}
	desks := map[string]*desk{}
	for name, events := range sizes {
		dir := t.TempDir()
		began := time.Now()
		seed(t, filepath.Join(dir, "data"), events)
		t.Logf("%s: %d events stored in %s", name, events, time.Since(began).Round(time.Millisecond))
		desks[name] = openIn(t, twoDestinations, dir)
	}
	dead := ofDelivery.FindStringSubmatch(desks["all"].see("/ui/dead-letters"))[1]
	for _, c := range []struct{ path, beside string }{
		{"/", "a page"}, {"/?window=7d", "a page"}, {"/ui/events", "a page"}, {"/ui/events/event-77", "a page"}, {"/ui/deliveries", "a window"},
		{"/ui/deliveries/" + dead, ""}, {"/ui/dead-letters", "a window"}, {"/ui/replays", "a page"}, {"/ui/destinations", "a page"},
		{"/ui/destinations/archive", "a page"}, {"/ui/destinations/crm", "a window"}, {"/ui/webhooks", "a page"}, {"/ui/routes", "a page"},
		{"/ui/plugins", "a page"}, {"/ui/configuration", "a page"},
		{"/ui/events?type=order.paid", "a page"}, {"/ui/events?type=order.*", "a page"}, {"/ui/events?source=events", "a page"}, {"/ui/events?since=24h", "a page"},
		{"/ui/events?destination=crm", "a window"}, {"/ui/events?status=delivered", "a window"}, {"/ui/events?text=ada", "a page"},
		{"/ui/events?status=dead", "a window"}, {"/ui/events?text=nobody@example.com", "a window"}, {"/ui/events?source=nobody", "a window"},
		{"/ui/events?text=nobody&destination=crm", "a window"}, {"/ui/events?type=*.sent&text=ada", "a window"},
		{"/ui/deliveries?destination=archive&status=delivered", "a page"}, {"/ui/deliveries?source=nobody", "a window"},
		{"/ui/deliveries?status=cancelled&destination=crm", "a window"}, {"/ui/dead-letters?destination=crm&type=order.*", "a window"},
	} {
		if c.beside != "" && desks[c.beside] == nil {
			continue
		}
		much, empty := desks["all"].takes(c.path), desks["empty"].takes(c.path)
		beside := much
		if c.beside != "" {
			beside = desks[c.beside].takes(c.path)
		}
		// The machine may have had something else to do.
		for range 5 {
			if *stored >= 2*window && much > most*beside+noise {
				much = min(much, desks["all"].takes(c.path))
			}
		}
		t.Logf("%-56s %8.2f ms; with nothing %.2f, with %s %.2f", c.path, ms(much), ms(empty), c.beside, ms(beside))
		if *stored >= 2*window && much > most*beside+noise {
			t.Errorf("%s takes %s with %d events stored, and %s with %s", c.path, much, *stored, beside, c.beside)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// takes is the shortest of a few times that the router takes for a page.
func (d *desk) takes(path string) time.Duration {
	d.t.Helper()
	handler := d.router.Handler()
	var all []time.Duration
	for began := time.Now(); len(all) < 7 && (len(all) == 0 || time.Since(began) < 100*time.Millisecond); {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, d.base+path, nil)
		if err != nil {
			d.t.Fatal(err)
		}
		asked := time.Now()
		res, err := handler.Test(req, -1)
		all = append(all, time.Since(asked))
		if err != nil {
			d.t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode/100 == 5 || strings.HasPrefix(path, "/ui/events?") && res.StatusCode != http.StatusOK {
			d.t.Fatalf("%s: %s", path, res.Status)
		}
	}
	return slices.Min(all)
}
