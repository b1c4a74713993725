package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// queued is a store in which an event waits in each lane, and counts who asks.
type queued struct {
	store.Store
	asked map[string]int
}

var errDamaged = errors.New("damaged")

func (q *queued) Oldest(_ context.Context, lane string) (store.Ref, error) {
	q.asked[lane]++
	switch lane {
	case "damaged":
		return store.Ref{}, errDamaged
	case "empty":
		return store.Ref{}, store.ErrNotFound
	}
	return store.Ref{Position: 7}, nil
}

func (q *queued) Event(context.Context, uint64) (*event.Event, error) {
	return &event.Event{Received: time.Unix(1700000000, 0)}, nil
}

// Few lanes are looked up whenever somebody asks. Many are looked up once in a while,
// but for those that are new.
func TestOldestOfManyLanes(t *testing.T) {
	st := &queued{asked: map[string]int{}}
	r := &Router{store: st}
	counts := map[string]store.Counts{}
	of := func(lanes []string) (list []store.Lane) {
		for _, name := range lanes {
			list = append(list, store.Lane{Name: name, Counts: counts[name]})
		}
		return list
	}
	ask := func(lanes ...string) map[string]time.Time {
		t.Helper()
		got, err := r.oldestOf(t.Context(), of(lanes))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := ask("a", "empty"); len(got) != 1 || got["a"].Unix() != 1700000000 {
		t.Errorf("of few: %v", got)
	}
	ask("a")
	if st.asked["a"] != 2 {
		t.Errorf("a lane of few was looked up %d times, want twice", st.asked["a"])
	}

	var many []string
	for i := range fewLanes + 1 {
		many = append(many, fmt.Sprint("lane-", i))
	}
	ask(many...)
	if r.backlog.until.IsZero() {
		t.Fatal("what was looked up is not kept for a while")
	}
	r.backlog.until = time.Now().Add(time.Hour)
	if got := ask(append(many, "new", "empty")...); len(got) != len(many)+1 {
		t.Errorf("of many: %d", len(got))
	}
	if st.asked["lane-0"] != 1 || st.asked["new"] != 1 {
		t.Errorf("looked up %d times, and a new one %d times", st.asked["lane-0"], st.asked["new"])
	}
	counts["lane-1"] = store.Counts{Delivered: 1}
	ask(many...)
	ask(many...)
	if st.asked["lane-0"] != 1 || st.asked["lane-1"] != 2 {
		t.Errorf("one that has changed was looked up %d times, one that has not %d times", st.asked["lane-1"], st.asked["lane-0"])
	}
	for _, name := range many {
		counts[name] = store.Counts{Delivered: 2}
	}
	if got := ask(many...); st.asked["lane-0"] != 1 || len(got) != len(many) {
		t.Errorf("all have changed at once, and one was looked up %d times", st.asked["lane-0"])
	}
	r.backlog.until = time.Time{}
	ask(many...)
	if st.asked["lane-0"] != 2 {
		t.Errorf("looked up %d times after a while", st.asked["lane-0"])
	}

	got, err := r.oldestOf(t.Context(), of(append(many, "damaged")))
	if !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "damaged") || len(got) != len(many) {
		t.Errorf("with one that can't be read: %d, %v", len(got), err)
	}
}

// Of many destinations, too, the list is of the configuration that runs.
func TestStatesOfManyAfterAReload(t *testing.T) {
	names := make([]string, fewLanes+1)
	for i := range names {
		names[i] = fmt.Sprintf(`"d%d"`, i)
	}
	configure := func() string {
		return fmt.Sprintf("destination \"many\" {\n  for_each = toset([%s])\n  url      = \"stdout:\"\n}\n", strings.Join(names, ", "))
	}
	dir := t.TempDir()
	r := start(t, dir, configure(), Options{Stdout: &safeBuffer{}})
	has := func(name string) bool {
		t.Helper()
		var list api.DestinationList
		if status := lookUp(t, r, "/api/destinations?limit=1000&status=active", &list); status != 200 || list.Total.Statuses["active"] != len(names) {
			t.Fatalf("%d, %+v", status, list.Total)
		}
		return slices.ContainsFunc(list.Destinations, func(d api.Destination) bool { return d.Name == name })
	}
	if !has("many.d7") {
		t.Error("one is not listed")
	}
	names[7] = `"new"`
	if _, err := r.Reload(t.Context(), parse(t, dir, configure()), false); err != nil {
		t.Fatal(err)
	}
	if has("many.d7") || !has("many.new") {
		t.Error("after a reload what was there before is listed, or what is new is not")
	}
}
