package dashboard_test

import (
	"cmp"
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
	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

// stored is how many events the large store has: make pages takes a million. With
// less than two windows of a search, only what looks at less is measured, and times
// are told and not judged: they say more of how busy the machine is.
var stored = flag.Int("events", 5_000, "events of the store that the pages are measured with")

// window is how many events one page of a search looks at.
const window = 10_000

// noise is what one measurement may be off.
const noise = 50 * time.Microsecond

// seed fills a store as a router would: events are routed, delivered to archive, and
// to crm but for one of forty, which is dead.
func seed(t *testing.T, path string, events int) {
	t.Helper()
	st, err := badger.Open(t.Context(), badger.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	book, err := stats.Open(t.Context(), st, stats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const step = 500
	types := []string{"order.paid", "order.created", "user.created", "invoice.sent"}
	begin := time.Now().Add(-24 * time.Hour).UTC()
	for first := 1; first <= events; first += step {
		end := min(first+step, events+1)
		r := &store.Record{}
		tally := book.Tally()
		archive, crm := store.LaneOutcomes{Lane: "archive"}, store.LaneOutcomes{Lane: "crm"}
		for p := first; p < end; p++ {
			at := begin.Add(24 * time.Hour / time.Duration(events+1) * time.Duration(p))
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
			tally.Add(&stats.Observation{At: at, Key: stats.Key{Type: e.Type}, Event: true})
			took := time.Duration(2+p%30) * time.Millisecond
			for lane, end := range map[string]stats.End{"archive": stats.Delivered, "crm": ended(o.To)} {
				reason := ""
				if end == stats.Dead {
					reason = o.Attempt.Reason
				}
				tally.Add(&stats.Observation{At: at, Key: stats.Key{Type: e.Type, Destination: lane}, Tried: true, Reason: reason, Latency: took, End: end, SinceReceived: 2 * took})
			}
		}
		archive.Cursor = &store.Cursor{Low: store.Ref{Position: uint64(end)}}
		crm.Cursor = &store.Cursor{Low: store.Ref{Position: uint64(end)}}
		counted, _ := tally.Document()
		for _, record := range []*store.Record{r, {Outcomes: []store.LaneOutcomes{archive, crm}, Documents: []store.Document{counted}}} {
			if _, err := st.Commit(t.Context(), record); err != nil {
				t.Fatal(err)
			}
		}
		tally.Committed(counted)
	}
	if err := book.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// ended is how a delivery that is in a state has ended.
func ended(state store.State) stats.End {
	if state == store.Dead {
		return stats.Dead
	}
	return stats.Delivered
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
	for _, c := range []struct {
		path string
		// empty is how many times as long as on an empty store it may take, 0 where that
		// has no such page. beside is a store that shows about as much, which it may take
		// three times as long as.
		empty  float64
		beside string
	}{
		{"/", 3, "a page"}, {"/?window=1h", 3, "a page"}, {"/?window=7d", 3, "a page"}, {"/ui/events", 3, "a page"}, {"/ui/events/event-77", 0, "a page"},
		{"/ui/deliveries", 3, "a window"}, {"/ui/deliveries/" + dead, 0, ""}, {"/ui/dead-letters", 3, "a window"}, {"/ui/replays", 3, "a page"},
		{"/ui/destinations", 3, "a page"}, {"/ui/destinations/archive", 3, "a page"}, {"/ui/destinations/crm", 3, "a window"},
		{"/ui/webhooks", 3, "a page"}, {"/ui/routes", 3, "a page"}, {"/ui/plugins", 3, "a page"}, {"/ui/configuration", 3, "a page"},
		// A search finds a page of what it looks at.
		{"/ui/events?type=order.paid", 3, "a page"}, {"/ui/events?type=order.*", 3, "a page"}, {"/ui/events?source=events", 3, "a page"},
		{"/ui/events?since=24h", 3, "a page"}, {"/ui/events?destination=crm", 4, "a window"}, {"/ui/events?status=delivered", 5, "a window"},
		{"/ui/events?text=ada", 3, "a page"}, {"/ui/deliveries?destination=archive&status=delivered", 4, "a page"},
		// What is asked for is rare, or not there: a search looks at a whole window, of
		// which an empty store has nothing.
		{"/ui/events?status=dead", 5, "a window"}, {"/ui/events?text=nobody@example.com", 100, "a window"}, {"/ui/events?source=nobody", 60, "a window"},
		{"/ui/events?text=nobody&destination=crm", 200, "a window"}, {"/ui/events?type=*.sent&text=ada", 6, "a window"},
		{"/ui/deliveries?source=nobody", 60, "a window"}, {"/ui/deliveries?status=cancelled&destination=crm", 3, "a window"},
		{"/ui/deliveries?webhook_id=msg_aaaaaaaaaaaaaaaaaaaaaaaaaa", 400, "a window"},
		{"/ui/dead-letters?destination=crm&type=order.*", 6, "a window"},
	} {
		if c.beside != "" && desks[c.beside] == nil {
			continue
		}
		much, empty := desks["all"].takes(c.path), desks["empty"].takes(c.path)
		beside := much
		if c.beside != "" {
			beside = desks[c.beside].takes(c.path)
		}
		judged := *stored >= 2*window
		slow := func() bool {
			return much > 3*beside+noise || c.empty > 0 && float64(much) > c.empty*float64(empty)+float64(noise)
		}
		// The machine may have had something else to do.
		for range 5 {
			if judged && slow() {
				much = min(much, desks["all"].takes(c.path))
			}
		}
		of := "no such page"
		if c.empty > 0 {
			of = fmt.Sprintf("%6.2f ms: %5.1f times", ms(empty), float64(much)/float64(empty))
		}
		t.Logf("%-54s %8.2f ms; with nothing %s; with %s %.2f ms: %.1f times", c.path, ms(much), of, cmp.Or(c.beside, "all"), ms(beside), float64(much)/float64(beside))
		if judged && slow() {
			t.Errorf("%s takes %s with %d events stored, %s with nothing and %s with %s", c.path, much, *stored, empty, beside, c.beside)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// takes is the shortest of a few times that the router takes for a page.
func (d *desk) takes(path string) time.Duration {
	d.t.Helper()
	handler := d.router.Handler()
	most := 7
	if *stored >= 2*window { // it is judged
		most = 300
	}
	var all []time.Duration
	for began := time.Now(); len(all) < most && (len(all) == 0 || time.Since(began) < 100*time.Millisecond); {
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
