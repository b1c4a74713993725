package badger

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

// lookMostData bounds how much data a search for a text looks at for one page, in
// bytes, beside the number of rows.
const lookMostData = 32 << 20

// SearchEvents lists the events that a search finds, newest first.
func (s *Store) SearchEvents(ctx context.Context, q store.EventSearch) (*store.EventsFound, error) {
	start, err := page(q.Page, cursorEvents)
	if err != nil {
		return nil, err
	}
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	if b := v.before(q.Until); b < start.Position {
		start = store.Ref{Position: b}
	}
	f := &search{
		v: v, limit: q.Limit, text: newNeedle(q.Text), found: &store.EventsFound{},
		filter: newFilter(q.Type, q.Source, q.Tenant, q.Since, q.Until), status: &statuses{v: v, many: true},
	}
	defer f.status.close()
	if q.Destination != "" || q.State != "" {
		err = f.byDelivery(ctx, start, &q)
	} else {
		err = f.byLog(ctx, start.Position, q.Type)
	}
	return f.found, err
}

// search makes one page.
type search struct {
	v *view
	filter
	status *statuses
	limit  int
	text   needle
	data   int // bytes of data that were looked at
	found  *store.EventsFound
}

// full says that the page may look no further.
func (f *search) full() bool { return f.found.Looked >= f.v.s.lookMost || f.data >= f.v.s.lookMostData }

// stop ends the page before a place of the log, in whose sight nothing is yet.
func (f *search) stop(next store.Ref) { f.found.Next = pageCursor(cursorEvents, next) }

// fits says whether an event is one that is searched for, whatever its deliveries.
func (f *search) fits(h *codec.Head) bool {
	if f.found.Newest.IsZero() {
		f.found.Newest = h.Received
	}
	if !f.takes(h) {
		return false
	}
	if len(f.text) == 0 {
		return true
	}
	f.data += len(h.Data)
	return f.text.in(h)
}

// take adds the event at a position to the page. more is false where it has no room:
// the event is the first of the next.
func (f *search) take(position uint64) (more bool, err error) {
	if len(f.found.Events) == f.limit {
		f.stop(store.Ref{Position: position + 1})
		return false, nil
	}
	e, err := f.status.eventAt(position)
	if err != nil {
		return false, err
	}
	f.found.Events = append(f.found.Events, e)
	return true, nil
}

func (f *search) byLog(ctx context.Context, below uint64, typ string) error {
	for fetch := f.v.positions(typ); ; {
		positions, err := fetch(below, listStep)
		if err != nil || len(positions) == 0 {
			return err
		}
		for _, p := range positions {
			if err := ctx.Err(); err != nil {
				return err
			}
			if f.full() {
				f.stop(store.Ref{Position: p + 1})
				return nil
			}
			below = p
			h, err := f.status.headAt(p)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if err == nil {
				if f.ended(h.Received) {
					return nil
				}
				if f.fits(h) {
					if more, err := f.take(p); err != nil || !more {
						return err
					}
				}
				f.found.Oldest = h.Received
			}
			f.found.Looked++
		}
	}
}

// byDelivery looks along the deliveries that are asked for. Those of one event are
// neighbours.
func (f *search) byDelivery(ctx context.Context, below store.Ref, q *store.EventSearch) error {
	status := f.status
	// Of each event it is looked at once whether it fits.
	known := map[uint64]bool{}
	var oldest time.Time // of those that were looked at
	fits := func(p uint64) (bool, error) {
		ok, seen := known[p]
		if seen {
			return ok, nil
		}
		if f.data >= f.v.s.lookMostData {
			return false, lookedEnough{store.Ref{Position: p + 1}}
		}
		h, err := status.headAt(p)
		if err != nil {
			return false, err
		}
		if f.ended(h.Received) {
			return true, nil // and ends the page
		}
		f.found.Looked++
		known[p], oldest = f.fits(h), h.Received
		return known[p], nil
	}
	fetch := f.v.deliveries(store.DeliveryQuery{Destination: q.Destination, Type: q.Type, State: q.State, Told: q.Told}, status, fits)
	done := uint64(0) // the event that was taken, or ruled out
	step := min(listStep, q.Limit+1)
	for looked := 0; ; step = min(2*step, listStep) {
		refs, err := fetch(below, step)
		if enough := (lookedEnough{}); errors.As(err, &enough) {
			if below.Less(enough.at) {
				enough.at = below
			}
			f.stop(enough.at)
			f.found.Oldest = oldest
			return nil
		}
		if err != nil || len(refs) == 0 {
			f.found.Oldest = oldest
			return err
		}
		for _, r := range refs {
			if err := ctx.Err(); err != nil {
				return err
			}
			if r.Position == done {
				continue
			}
			if looked >= f.v.s.lookMost {
				f.stop(r.Next())
				return nil
			}
			looked++
			ok, err := fits(r.Position)
			if errors.As(err, new(lookedEnough)) {
				f.stop(r.Next())
				f.found.Oldest = oldest
				return nil
			}
			below = r
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if !ok {
				done = r.Position
				continue
			}
			st, err := status.of(r, false)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if f.ended(st.Received) {
				f.found.Oldest = oldest
				return nil
			}
			f.found.Oldest = st.Received
			if !st.Fits(q.State, q.Told) || q.Destination != "" && st.Delivery.Lane != q.Destination {
				continue
			}
			done = r.Position
			if more, err := f.take(r.Position); err != nil || !more {
				return err
			}
		}
		if last := refs[len(refs)-1]; last.Position == done { // and so are those behind it
			below = store.Ref{Position: done}
		}
	}
}

// needle is a text that is searched for, its letters of ASCII in lower case.
type needle []byte

func newNeedle(text string) needle { return lowerASCII([]byte(text)) }

func lowerASCII(b []byte) []byte {
	for i, c := range b {
		b[i] = lower(c)
	}
	return b
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

func (n needle) in(h *codec.Head) bool {
	return n.within(h.ID) || n.within(h.OriginID) || n.within(h.Subject) || n.within(h.Data)
}

// within leaps from one place where n's first byte is to the next.
func (n needle) within(b []byte) bool {
	for first, upper := n[0], upper(n[0]); len(b) >= len(n); b = b[1:] {
		room := b[:len(b)-len(n)+1]
		i := bytes.IndexByte(room, first)
		if first != upper {
			if i >= 0 {
				room = room[:i]
			}
			if j := bytes.IndexByte(room, upper); j >= 0 {
				i = j
			}
		}
		if i < 0 {
			return false
		}
		if b = b[i:]; n.begins(b) {
			return true
		}
	}
	return false
}

func (n needle) begins(b []byte) bool {
	for i, c := range n {
		if lower(b[i]) != c {
			return false
		}
	}
	return true
}
