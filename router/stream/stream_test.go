package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func listen(t *testing.T, h *Hub, after string) *Listener {
	t.Helper()
	l, err := h.Listen(after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// take gets so many items, and what was missed meanwhile.
func take(t *testing.T, l *Listener, n int) (items []Item, missed uint64, gap bool) {
	t.Helper()
	for len(items) < n {
		b, err := l.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		items, missed, gap = append(items, b.Items...), missed+b.Missed, gap || b.Gap
	}
	return items, missed, gap
}

func publish(h *Hub, from, until int) {
	for i := from; i <= until; i++ {
		h.Publish(Item{Kind: KindEvent, Type: fmt.Sprint(i)})
	}
}

func TestListenersGetWhatComes(t *testing.T) {
	h := NewHub(nil)
	a, b := listen(t, h, ""), listen(t, h, "")
	publish(h, 1, 3)
	for _, l := range []*Listener{a, b} {
		items, missed, gap := take(t, l, 3)
		for i, item := range items {
			if item.Number != uint64(i+1) || item.Type != fmt.Sprint(i+1) {
				t.Errorf("item %d is %+v", i, item)
			}
		}
		if missed != 0 || gap {
			t.Errorf("%d missed, gap %v", missed, gap)
		}
	}
}

// Invariant 1.
func TestWantedOnlyWhileSomebodyListens(t *testing.T) {
	now := time.Unix(1000, 0)
	h := NewHub(func() time.Time { return now })
	if h.Wanted() {
		t.Error("wanted before anybody came")
	}
	a, b := listen(t, h, ""), listen(t, h, "")
	a.Close()
	now = now.Add(time.Hour)
	if !h.Wanted() {
		t.Error("not wanted though somebody listens")
	}
	b.Close()
	if now = now.Add(linger - 1); !h.Wanted() {
		t.Error("not wanted though somebody may come back")
	}
	if now = now.Add(1); h.Wanted() {
		t.Error("wanted long after all have gone")
	}
}

// Invariant 2.
func TestSlowListenersAreToldWhatTheyMissed(t *testing.T) {
	h := NewHub(nil)
	l := listen(t, h, "")
	publish(h, 1, keep+7)
	items, missed, _ := take(t, l, keep)
	if len(items) != keep || items[0].Number != 1 || missed != 7 {
		t.Errorf("%d items from %d, %d missed", len(items), items[0].Number, missed)
	}
}

// Invariant 3.
func TestListenersComeBack(t *testing.T) {
	h := NewHub(nil)
	l := listen(t, h, "")
	publish(h, 1, 5)
	l.Close()
	publish(h, 6, 8)
	items, missed, gap := take(t, listen(t, h, h.ID(5)), 3)
	if items[0].Number != 6 || len(items) != 3 || missed != 0 || gap {
		t.Errorf("got %v, %d missed, gap %v", items, missed, gap)
	}
	again := listen(t, h, h.ID(8))
	publish(h, 9, 9)
	if items, missed, _ := take(t, again, 1); items[0].Number != 9 || missed != 0 {
		t.Errorf("got %v, %d missed", items, missed)
	}
	publish(h, 10, 10+2*keep)
	late := listen(t, h, h.ID(8))
	items, missed, _ = take(t, late, 1)
	if want := items[0].Number - 9; missed != want || items[len(items)-1].Number != uint64(10+2*keep) {
		t.Errorf("%d missed, want %d; the last is %d", missed, want, items[len(items)-1].Number)
	}
	for _, id := range []string{"x-3", "nonsense", h.ID(1 << 40), h.epoch + "-", NewHub(func() time.Time { return time.Unix(5, 0) }).ID(3)} {
		l := listen(t, h, id)
		if b, err := l.Next(context.Background()); err != nil || !b.Gap || len(b.Items) != 0 {
			t.Errorf("%s: got %+v, %v, want a gap", id, b, err)
		}
	}
}

// What happened while nobody listened is not there, and nobody is told that
// nothing did.
func TestAfterAPauseThereIsAGap(t *testing.T) {
	now := time.Unix(1000, 0)
	h := NewHub(func() time.Time { return now })
	l := listen(t, h, "")
	publish(h, 1, 3)
	id := h.ID(3)
	l.Close()
	now = now.Add(2 * linger)
	l = listen(t, h, id)
	publish(h, 1, 1)
	if items, _, gap := take(t, l, 1); !gap || items[0].Number != 1 || h.ID(1) == id {
		t.Errorf("got %v, gap %v", items, gap)
	}
}

func TestCloseEndsListeners(t *testing.T) {
	h := NewHub(nil)
	l := listen(t, h, "")
	publish(h, 1, 1)
	h.Close()
	publish(h, 2, 2)
	if items, _, _ := take(t, l, 1); len(items) != 1 {
		t.Errorf("got %v, want what was there before", items)
	}
	if _, err := l.Next(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := h.Listen(""); !errors.Is(err, ErrClosed) {
		t.Errorf("listening to a closed hub: %v", err)
	}
	if h.Wanted() {
		t.Error("items are wanted")
	}
}

// Invariant 4, and that nothing races.
func TestManyAtOnce(t *testing.T) {
	h := NewHub(nil)
	l := listen(t, h, "")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { publish(h, 1, keep/8) })
		all.Go(func() {
			if l, err := h.Listen(""); err == nil {
				l.Close()
			}
		})
	}
	items, _, _ := take(t, l, keep/2)
	all.Wait()
	for i, item := range items {
		if item.Number != uint64(i+1) {
			t.Fatalf("item %d has the number %d", i, item.Number)
		}
	}
}

func BenchmarkNobodyListens(b *testing.B) {
	h := NewHub(nil)
	b.ReportAllocs()
	for range b.N {
		if h.Wanted() {
			b.Fatal("wanted")
		}
	}
}
