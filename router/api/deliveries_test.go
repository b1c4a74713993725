package api

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Pages of deliveries with a webhook-id have each of them once, in order, however many
// share it, and a page that finds none goes on where it stopped.
func TestWithWebhookID(t *testing.T) {
	const all = 25000
	const one, replayed, other, nobody = 1, 2, 3, 4 // positions
	seldom := []int{3, 999, 1000, 24000}
	var often []int // as of many replays
	for i := 1990; i < 2050; i++ {
		often = append(often, i)
	}
	// An id is of the event, and its replays share it.
	delivery := func(i int) *store.DeliveryStatus {
		position := uint64(other)
		switch {
		case slices.Contains(seldom, i):
			position = one
		case slices.Contains(often, i):
			position = replayed
		}
		return &store.DeliveryStatus{
			Ref: store.Ref{Position: position, Index: uint32(i)}, EventID: "e", Route: "r", Delivery: store.Delivery{Lane: "crm"},
		}
	}
	asked := 0
	list := func(_ context.Context, q store.DeliveryQuery) (page []*store.DeliveryStatus, next string, err error) {
		from := 0
		if q.Cursor != "" {
			if from, err = strconv.Atoi(q.Cursor); err != nil {
				return nil, "", err
			}
		}
		asked += q.Limit
		for i := from; i < min(from+q.Limit, all); i++ {
			page = append(page, delivery(i))
		}
		if from+q.Limit < all {
			next = strconv.Itoa(from + q.Limit)
		}
		return page, next, nil
	}
	for _, c := range []struct {
		position uint64
		want     []int
		limit    int
	}{{one, seldom, 50}, {one, seldom, 1}, {replayed, often, 7}, {replayed, often, 1000}, {nobody, nil, 50}} {
		id := event.WebhookID(c.position, "e", "r", 0, "crm")
		var got []int
		q := store.DeliveryQuery{Page: store.Page{Limit: c.limit}}
		for pages := 0; ; pages++ {
			asked = 0
			page, next, err := withWebhookID(list, id)(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > c.limit || asked > 2*lookMost {
				t.Errorf("%d: a page of %d, for which %d were asked for", c.position, len(page), asked)
			}
			for _, d := range page {
				got = append(got, int(d.Ref.Index))
			}
			if next == "" {
				break
			}
			if next == q.Cursor || pages > 100 {
				t.Fatalf("%d: it does not go on from %q", c.position, next)
			}
			q.Cursor = next
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d, %d a page: %v, want %v", c.position, c.limit, got, c.want)
		}
	}
}
