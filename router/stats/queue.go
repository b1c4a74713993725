package stats

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/weirhq/weir/router/store"
)

// kindQueue is the document of what waited in a slot, by the slot's name.
const kindQueue = "stats-queue"

// queueEncoding is the version of what is written of a queue.
const queueEncoding = 1

// sampleEvery is how often what waits is looked at.
const sampleEvery = time.Minute

// Queue is the most that waited in a span of time, as far as it was looked at: once
// a minute.
type Queue struct {
	// Begin of the span.
	Begin time.Time
	// Depth is how many deliveries waited or were retrying, Oldest the age of the
	// oldest event of them.
	Depth  uint64
	Oldest time.Duration
}

func (q *Queue) merge(depth uint64, oldest time.Duration) {
	q.Depth, q.Oldest = max(q.Depth, depth), max(q.Oldest, oldest)
}

func (q *Queue) encode() []byte {
	b := binary.AppendUvarint([]byte{queueEncoding}, q.Depth)
	return binary.AppendUvarint(b, uint64(q.Oldest))
}

func decodeQueue(value []byte) (*Queue, error) {
	if len(value) == 0 || value[0] != queueEncoding {
		return nil, errEncoding
	}
	r := &reader{b: value[1:]}
	q := &Queue{Depth: r.number(), Oldest: time.Duration(r.number())}
	if len(r.b) > 0 || q.Oldest < 0 {
		r.fail()
	}
	return q, r.err
}

// openQueues reads what the store has of them.
func (b *Book) openQueues(ctx context.Context) error {
	docs, err := b.store.Documents(ctx, kindQueue)
	if err != nil {
		return err
	}
	for range resolutions {
		b.queues = append(b.queues, map[int64]*Queue{})
	}
	for _, d := range docs {
		i, at, ok := parseSlot(d.Name)
		q, err := decodeQueue(d.Value)
		if !ok || err != nil {
			b.log.Warn("what waited in a span of time can't be read, and is left out", "document", d.Name, "error", err)
			continue
		}
		q.Begin = time.Unix(at, 0).UTC()
		b.queues[i][at] = q
	}
	return nil
}

// Sample notes what waits at a time. Nothing that waits is not noted: it is what
// holds where there is no note.
func (b *Book) Sample(at time.Time, depth uint64, oldest time.Duration) {
	if depth == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range resolutions {
		width := int64(r.width / time.Second)
		begin := at.Unix() - mod(at.Unix(), width)
		q := b.queues[i][begin]
		if q == nil {
			q = &Queue{Begin: time.Unix(begin, 0).UTC()}
			b.queues[i][begin] = q
		}
		q.merge(depth, oldest)
		b.changed(slotName(i, begin))
	}
}

// changed notes a slot for the next fold, once, however many folds have failed. The
// mutex is held.
func (b *Book) changed(name string) {
	if !slices.Contains(b.sampled, name) {
		b.sampled = append(b.sampled, name)
	}
}

// queueDocuments are what a fold writes of the queues, and deletes. The mutex is
// held.
func (b *Book) queueDocuments() []store.Document {
	var list []store.Document
	for _, name := range b.sampled {
		if i, at, ok := parseSlot(name); ok && b.queues[i][at] != nil {
			list = append(list, store.Document{Kind: kindQueue, Name: name, Value: b.queues[i][at].encode()})
		}
	}
	b.sampled = nil
	for i, queues := range b.queues {
		for at := range queues {
			if at < b.oldest(i) {
				delete(queues, at)
				list = append(list, store.Document{Kind: kindQueue, Name: slotName(i, at)})
			}
		}
	}
	return list
}

// queuePoints are what waited, in steps as those of a row.
func (b *Book) queuePoints(i int, first, last, step int64, n int) []Queue {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Queue, n)
	for k := range all {
		all[k].Begin = time.Unix(first+int64(k)*step, 0).UTC()
	}
	for at, q := range b.queues[i] {
		if at >= first && at <= last {
			all[(at-first)/step].merge(q.Depth, q.Oldest)
		}
	}
	return all
}
