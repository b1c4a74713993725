package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

const (
	retained = 7 * 24 * time.Hour
	// weeks pass, each with so many events an hour; then one passes without any. The
	// first fills the store, the second is the first that takes what is old, and
	// from the third on use must not grow.
	weeks      = 5
	settled    = 3
	hourEvents = 1000
)

// retention drives a store in this process, since nobody waits for a real week:
// each hour of an injected clock brings events, which are routed and delivered,
// and a run of retention, as in a router.
func retention(ctx context.Context, b *bench) (lines []Line, err error) {
	dir, err := b.folder("retention")
	if err != nil {
		return nil, err
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := badger.Open(ctx, badger.Options{Path: dir, Retention: retained, Now: func() time.Time { return now }})
	if err != nil {
		return nil, err
	}
	defer func() {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	// What an empty store allocates for itself is not counted.
	empty, err := blocks(dir)
	if err != nil {
		return nil, err
	}
	use := func() (int64, error) {
		n, err := blocks(dir)
		return max(n-empty, 0), err
	}
	w := &week{store: s, body: newEventBody()}
	var most []float64 // of each week
	var full float64   // when the first week is stored, and nothing has gone yet
	for n := range weeks + 1 {
		events, peak, began := hourEvents, int64(0), time.Now()
		if n == weeks {
			events = 0
		}
		for range 7 * 24 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := w.hour(ctx, now, events); err != nil {
				return nil, err
			}
			now = now.Add(time.Hour)
			if _, err := s.Expire(ctx, now); err != nil {
				return nil, err
			}
			used, err := use()
			if err != nil {
				return nil, err
			}
			peak = max(peak, used)
		}
		used, err := use()
		if err != nil {
			return nil, err
		}
		if n == 0 {
			full = mib(used)
		}
		most = append(most, mib(peak))
		fmt.Fprintf(b.out, "  week %d, %d events an hour: at most %.0f MiB on disk beyond the %.0f MiB of an empty store, %.0f MiB at its end, in %s\n",
			n+1, events, mib(peak), mib(empty), mib(used), time.Since(began).Round(time.Second))
	}
	// What is left when a week has brought nothing: as the router leaves it, and
	// when it was stopped and started.
	left, err := use()
	if err != nil {
		return nil, err
	}
	closing := s
	s = nil
	if err := closing.Close(); err != nil {
		return nil, err
	}
	tables, err := sizeOf(dir, ".sst")
	if err != nil {
		return nil, err
	}
	return []Line{
		atMost(fmt.Sprintf("disk use, most of week %d", weeks), "MiB", most[weeks-1], fmt.Sprintf("week %d", settled), most[settled-1], 1.1),
		only(fmt.Sprintf("disk use, most of week %d", weeks), "MiB", most[weeks-1], "a week's events", full),
		atMost("disk use after a week without events", "MiB", mib(left), "a week's events", full, 0.5),
		only("tables after it, closed", "MiB", mib(tables), "a week's events", full),
	}, nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// week puts hours of events into a store.
type week struct {
	store *badger.Store
	body  *eventBody
	next  uint64
}

// hour commits events, what routing made of them, and their deliveries.
func (w *week) hour(ctx context.Context, now time.Time, events int) error {
	const group = 100
	for done := 0; done < events; done += group {
		r := &store.Record{}
		for i := range min(group, events-done) {
			at := now.Add(time.Duration(done+i) * time.Hour / time.Duration(events))
			r.Events = append(r.Events, store.NewEvent{Event: &event.Event{
				ID: event.NewID(at), Type: "bench.t00000", Source: "events", Time: at, Received: at,
				ContentType: "application/json", Data: append([]byte(nil), w.body.fill(w.next, 1)...),
			}})
			w.next++
		}
		result, err := w.store.Commit(ctx, r)
		if err != nil {
			return err
		}
		routed, sent := &store.Record{}, store.LaneOutcomes{Lane: "d0"}
		for i, e := range result.Events {
			routed.Routings = append(routed.Routings, &store.Routing{Position: e.Position, Matches: []store.Match{{Route: "r0"}},
				Deliveries: []store.Delivery{{Lane: "d0", Content: -1, Format: "envelope"}}})
			at := r.Events[i].Event.Received
			sent.Outcomes = append(sent.Outcomes, store.Outcome{Ref: store.Ref{Position: e.Position}, From: store.Waiting, To: store.Delivered,
				Attempt: &store.Attempt{Number: 1, Started: at, Latency: time.Millisecond, Status: 200}})
			sent.Cursor = &store.Cursor{Low: store.Ref{Position: e.Position + 1}}
		}
		if _, err := w.store.Commit(ctx, routed); err != nil {
			return err
		}
		if _, err := w.store.Commit(ctx, &store.Record{Outcomes: []store.LaneOutcomes{sent}}); err != nil {
			return err
		}
	}
	return nil
}

// blocks is what the files of a folder take on disk: they may have holes.
func blocks(dir string) (int64, error) {
	var n int64
	err := eachFile(dir, func(info fs.FileInfo) {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			n += st.Blocks * 512
		}
	})
	return n, err
}

// sizeOf is the size of the files of a folder whose names end so.
func sizeOf(dir, ext string) (int64, error) {
	var n int64
	err := eachFile(dir, func(info fs.FileInfo) {
		if filepath.Ext(info.Name()) == ext {
			n += info.Size()
		}
	})
	return n, err
}

func eachFile(dir string, f func(fs.FileInfo)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // a table that was compacted meanwhile
		}
		if err != nil {
			return err
		}
		f(info)
	}
	return nil
}
