package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/weirhq/weir/router/store"
)

// wantErr checks that an error is the one that it should be.
func wantErr(what string, got, want error) error {
	if !errors.Is(got, want) {
		return fmt.Errorf("%s: got error %v, want %v", what, got, want)
	}
	return nil
}

// all gives the first error of a list.
func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func equal[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s: got %v, want %v", what, got, want)
	}
	return nil
}

func equalList[T comparable](what string, got, want []T) error {
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s: got %v, want %v", what, got, want)
	}
	return nil
}

// wantPostings checks the positions of a lane's unsettled postings.
func (e *Env) wantPostings(ctx context.Context, lane string, from uint64, max int, want ...uint64) error {
	ps, err := e.Store.Postings(ctx, lane, at(from), max)
	if err != nil {
		return fmt.Errorf("postings of %s: %w", lane, err)
	}
	var got []uint64
	for _, p := range ps {
		got = append(got, p.Ref.Position)
	}
	return equalList(fmt.Sprintf("postings of %s from %d", lane, from), got, want)
}

func (e *Env) wantRetries(ctx context.Context, lane string, max int, want ...uint64) error {
	ys, err := e.Store.Retries(ctx, lane, max)
	if err != nil {
		return fmt.Errorf("retries of %s: %w", lane, err)
	}
	var got []uint64
	for _, y := range ys {
		got = append(got, y.Ref.Position)
	}
	return equalList("retries of "+lane, got, want)
}

func (e *Env) wantState(ctx context.Context, r store.Ref, want store.State, attempts int) error {
	st, err := e.Store.Delivery(ctx, r)
	if err != nil {
		return fmt.Errorf("delivery of position %d: %w", r.Position, err)
	}
	if st.State != want || len(st.Attempts) != attempts {
		return fmt.Errorf("delivery of position %d: got %s with %d attempts, want %s with %d", r.Position, st.State, len(st.Attempts), want, attempts)
	}
	return nil
}

// wantAlike checks that what an event led to is, taken together, what each is by
// itself.
func (e *Env) wantAlike(ctx context.Context, position uint64) error {
	r, err := e.Store.Routing(ctx, position)
	if err != nil {
		return err
	}
	var want []*store.DeliveryStatus
	for i := range r.Deliveries {
		st, err := e.Store.Delivery(ctx, store.Ref{Position: position, Index: uint32(i)})
		if errors.Is(err, store.ErrNotFound) {
			continue // retention has taken it
		}
		if err != nil {
			return err
		}
		want = append(want, st)
	}
	got, err := e.Store.Deliveries(ctx, position)
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return fmt.Errorf("position %d led to %d deliveries, and %d are given together", position, len(want), len(got))
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			return fmt.Errorf("together %+v, by itself %+v", got[i], want[i])
		}
	}
	// And in pages.
	const page = 2
	for from := uint32(0); len(want) > 0; {
		got, err := e.Store.DeliveriesFrom(ctx, position, from, page)
		if err != nil {
			return err
		}
		if n := min(page, len(want)); len(got) != n {
			return fmt.Errorf("position %d: %d deliveries from %d on, want %d", position, len(got), from, n)
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				return fmt.Errorf("in a page %+v, by itself %+v", got[i], want[i])
			}
		}
		want, from = want[len(got):], got[len(got)-1].Ref.Index+1
	}
	return nil
}

// list gives all deliveries that a query finds, from as many pages as there are.
func (e *Env) list(ctx context.Context, q store.DeliveryQuery, limit int) ([]store.Ref, error) {
	var refs []store.Ref
	q.Limit = limit
	for range 10000 {
		page, next, err := e.Store.ListDeliveries(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("listing deliveries: %w", err)
		}
		if len(page) > limit {
			return nil, fmt.Errorf("a page of %d has %d", limit, len(page))
		}
		for _, st := range page {
			if n := len(refs); n > 0 && !st.Ref.Less(refs[n-1]) {
				return nil, fmt.Errorf("%v is listed behind %v", st.Ref, refs[n-1])
			}
			refs = append(refs, st.Ref)
		}
		if next == "" {
			return refs, nil
		}
		q.Cursor = next
	}
	return nil, errors.New("a list of deliveries does not end")
}

func (e *Env) wantListed(ctx context.Context, q store.DeliveryQuery, want ...uint64) error {
	for _, limit := range []int{1, 3, 1000} {
		refs, err := e.list(ctx, q, limit)
		if err != nil {
			return err
		}
		var got []uint64
		for _, r := range refs {
			got = append(got, r.Position)
		}
		if err := equalList(fmt.Sprintf("deliveries of %q %s by %d", q.Destination, q.State, limit), got, want); err != nil {
			return err
		}
	}
	return nil
}

func (e *Env) listEvents(ctx context.Context, q store.EventQuery, limit int) ([]uint64, error) {
	var list []uint64
	q.Limit = limit
	for range 10000 {
		page, next, err := e.Store.ListEvents(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("listing events: %w", err)
		}
		if len(page) > limit {
			return nil, fmt.Errorf("a page of %d has %d", limit, len(page))
		}
		for _, ev := range page {
			list = append(list, ev.Position)
		}
		if next == "" {
			return list, nil
		}
		q.Cursor = next
	}
	return nil, errors.New("a list of events does not end")
}

// wantFound is what a search finds, however long its pages are.
func (e *Env) wantFound(ctx context.Context, q store.EventSearch, want ...uint64) error {
	for _, limit := range []int{1, 2, 1000} {
		var got []uint64
		q.Limit, q.Cursor = limit, ""
		for n := 0; ; n++ {
			found, err := e.Store.SearchEvents(ctx, q)
			if err != nil {
				return fmt.Errorf("searching: %w", err)
			}
			if len(found.Events) > limit || n > 10000 {
				return fmt.Errorf("page %d of a search by %d has %d", n, limit, len(found.Events))
			}
			for _, ev := range found.Events {
				got = append(got, ev.Position)
				if found.Looked == 0 || found.Newest.Before(ev.Received) || found.Oldest.After(ev.Received) {
					return fmt.Errorf("an event of %s is not within what was looked at, %d from %s to %s", ev.Received, found.Looked, found.Oldest, found.Newest)
				}
			}
			if found.Next == "" {
				break
			}
			q.Cursor = found.Next
		}
		if err := equalList(fmt.Sprintf("found by %+v", q), got, want); err != nil {
			return err
		}
	}
	return nil
}

func (e *Env) wantEvents(ctx context.Context, q store.EventQuery, want ...uint64) error {
	for _, limit := range []int{1, 2, 1000} {
		got, err := e.listEvents(ctx, q, limit)
		if err != nil {
			return err
		}
		if err := equalList(fmt.Sprintf("events by %+v", q), got, want); err != nil {
			return err
		}
	}
	return nil
}

var states = []store.State{store.Waiting, store.Retrying, store.Dead, store.Delivered, store.Cancelled}

func countOf(c store.Counts, s store.State) uint64 {
	switch s {
	case store.Waiting:
		return c.Waiting
	case store.Retrying:
		return c.Retrying
	case store.Dead:
		return c.Dead
	case store.Delivered:
		return c.Delivered
	}
	return c.Cancelled
}

// wantCountsListed checks that the counts of each lane are what listing finds,
// and that what work is left is what the states say.
func (e *Env) wantCountsListed(ctx context.Context) error {
	lanes, err := e.Store.Lanes(ctx)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		total := uint64(0)
		for _, s := range states {
			refs, err := e.list(ctx, store.DeliveryQuery{Destination: l.Name, State: s}, 100)
			if err != nil {
				return err
			}
			if uint64(len(refs)) != countOf(l.Counts, s) {
				return fmt.Errorf("lane %s: %d %s are counted, and %d are listed", l.Name, countOf(l.Counts, s), s, len(refs))
			}
			total += countOf(l.Counts, s)
		}
		refs, err := e.list(ctx, store.DeliveryQuery{Destination: l.Name}, 7)
		if err != nil {
			return err
		}
		if uint64(len(refs)) != total {
			return fmt.Errorf("lane %s: %d deliveries in a state, and %d in all", l.Name, total, len(refs))
		}
		ps, err := e.Store.Postings(ctx, l.Name, store.Ref{}, 1<<20)
		if err != nil {
			return err
		}
		ys, err := e.Store.Retries(ctx, l.Name, 1<<20)
		if err != nil {
			return err
		}
		if uint64(len(ps)) != l.Counts.Waiting || uint64(len(ys)) != l.Counts.Retrying {
			return fmt.Errorf("lane %s: %d postings and %d retries, and counts %+v", l.Name, len(ps), len(ys), l.Counts)
		}
	}
	return nil
}

func (e *Env) wantCounts(ctx context.Context, lane string, want store.Counts) error {
	l, err := e.Store.Lane(ctx, lane)
	if err != nil {
		return err
	}
	return equal("counts of "+lane, l.Counts, want)
}

// soon is a context for what must end.
func soon(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 20*time.Second)
}
