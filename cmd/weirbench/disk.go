package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"
)

// tableWatch notes the tables that appear in a store's folder. A table has its
// full size from the moment that it has its name.
type tableWatch struct {
	folder string
	stop   chan struct{}
	done   sync.WaitGroup
	mu     sync.Mutex
	sizes  map[uint64]int64
}

// watchTables looks so often that no table comes and goes in between: one lives
// until a compaction has read it.
func watchTables(folder string) *tableWatch {
	w := &tableWatch{folder: folder, stop: make(chan struct{}), sizes: map[uint64]int64{}}
	w.done.Go(func() {
		for {
			w.look()
			select {
			case <-w.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	return w
}

func (w *tableWatch) look() {
	entries, err := os.ReadDir(w.folder)
	if err != nil {
		return // not there yet
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".sst")
		if !ok {
			continue
		}
		id, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			continue
		}
		if info, err := e.Info(); err == nil {
			w.sizes[id] = max(w.sizes[id], info.Size())
		}
	}
}

// end stops watching and gives the bytes of the tables that flushes made, and of
// those that compactions made, as the store's manifest tells them apart.
func (w *tableWatch) end() (made tablesMade, err error) {
	close(w.stop)
	w.done.Wait()
	f, err := os.Open(filepath.Join(w.folder, "MANIFEST"))
	if errors.Is(err, fs.ErrNotExist) {
		return made, nil
	}
	if err != nil {
		return made, err
	}
	defer f.Close()
	return countTables(f, w.sizes)
}

// tablesMade are tables that a store has made, with their bytes.
type tablesMade struct {
	flushes, compactions, flushed, compacted int64
	unseen                                   int64 // came and went
}

// countTables reads a manifest: 8 bytes, then sets of changes, each with its
// length and checksum before it. A set that only adds one table, to level 0, is
// a flush.
func countTables(r io.Reader, sizes map[uint64]int64) (made tablesMade, err error) {
	in := bufio.NewReader(r)
	if _, err := in.Discard(8); err != nil {
		return made, fmt.Errorf("the store's manifest: %w", err)
	}
	for {
		var head [8]byte
		if _, err := io.ReadFull(in, head[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return made, nil
		} else if err != nil {
			return made, fmt.Errorf("the store's manifest: %w", err)
		}
		text := make([]byte, binary.BigEndian.Uint32(head[:4]))
		if _, err := io.ReadFull(in, text); err != nil {
			return made, nil // it is being written
		}
		var changes pb.ManifestChangeSet
		if err := proto.Unmarshal(text, &changes); err != nil {
			return made, fmt.Errorf("the store's manifest: %w", err)
		}
		flush := len(changes.Changes) == 1 && changes.Changes[0].Level == 0
		for _, c := range changes.Changes {
			if c.Op != pb.ManifestChange_CREATE {
				continue
			}
			size, seen := sizes[c.Id]
			switch {
			case !seen:
				made.unseen++
			case flush:
				made.flushes++
				made.flushed += size
			default:
				made.compactions++
				made.compacted += size
			}
		}
	}
}

// diskTurns is the most that is driven until there was a compaction.
const diskTurns = 20

func disk(ctx context.Context, b *bench) ([]Line, error) {
	weir, err := b.route(ctx, "Weir", setup{destinations: 1, concurrency: workers})
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(weir.dir, "data")
	w := watchTables(folder)
	ended := false
	defer func() {
		if !ended {
			_, _ = w.end()
		}
	}()
	before, err := deviceWritten(b.dir)
	if err != nil {
		return nil, err
	}
	used, err := usageOf(weir.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	// Long enough for several flushes and a compaction.
	compacted := false
	for n := 0; n < b.rounds || !compacted && n < diskTurns; n++ {
		t, err := b.take(ctx, weir, load{connections: few, period: 3 * b.turn})
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(b.out, "  %d events\n", t.accepted)
		compacted = w.sawCompaction()
	}
	// What was begun belongs to it.
	if err := b.quiet(ctx, weir); err != nil {
		return nil, err
	}
	after, err := deviceWritten(b.dir)
	if err != nil {
		return nil, err
	}
	usedAfter, err := usageOf(weir.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	ended = true
	made, err := w.end()
	if err != nil {
		return nil, err
	}
	if made.unseen > 0 {
		return nil, fmt.Errorf("%d tables came and went before they were seen", made.unseen)
	}
	each := func(n int64) float64 { return float64(n) / 1024 / float64(max(weir.accepted, 1)) }
	total := after - before
	fmt.Fprintf(b.out, "  %d flushes, %d tables by compactions\n", made.flushes, made.compactions)
	part := func(what string, n int64) Line { return Line{What: what, Unit: "KiB/event", Figure: each(n)} }
	return []Line{
		under(fmt.Sprintf("written to the device, %d events", weir.accepted), "KiB/event", each(total), 6),
		part("of that the log and all else", total-made.flushed-made.compacted),
		part(fmt.Sprintf("of that by %d flushes", made.flushes), made.flushed),
		part(fmt.Sprintf("of that by compactions, %d tables", made.compactions), made.compacted),
		part("written, by the kernel's account of the process", usedAfter.written-used.written),
	}, nil
}

// sawCompaction says whether the manifest so far tells of one.
func (w *tableWatch) sawCompaction() bool {
	f, err := os.Open(filepath.Join(w.folder, "MANIFEST"))
	if err != nil {
		return false
	}
	defer f.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	made, err := countTables(f, w.sizes)
	return err == nil && made.compactions+made.unseen > 0
}
