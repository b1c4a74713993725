package lane

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"

	"github.com/weirhq/weir/router/store"
)

// With few workers for many lanes each lane gets its turn, whatever others have to
// do, and lanes that hang leave workers for the others.
func TestFairShares(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	s.workersMost = 8
	block := make(chan struct{})
	var mu sync.Mutex
	var order []string
	served := map[string]int{}
	busy := make([]byte, 128<<10)
	answer := func(_ context.Context, w *Work) Result {
		if w.Delivery.Lane == "large" {
			// It takes some time, or it is served from memory a hundred times while a
			// small lane's worker reads its postings on a busy machine.
			sha256.Sum256(busy)
		}
		mu.Lock()
		defer mu.Unlock()
		served[w.Delivery.Lane]++
		order = append(order, w.Delivery.Lane)
		return Result{OK: true}
	}
	var names []string
	hanging := 0
	for i := range 3 { // they would take all workers
		name := fmt.Sprint("hangs", i)
		names = append(names, name)
		add(t, s, name, policy(8, 0), func(ctx context.Context, w *Work) Result {
			mu.Lock()
			hanging++
			mu.Unlock()
			<-block
			return Result{OK: true}
		})
	}
	for i := range 20 {
		name := fmt.Sprint("small", i)
		names = append(names, name)
		add(t, s, name, policy(4, 0), answer)
	}
	add(t, s, "large", policy(8, 0), answer)
	post(t, st, 10, names[:3]...)
	post(t, st, 300, "large")
	for _, l := range names[:3] {
		s.get(l).wake(true, true)
	}
	await(t, "those that hang to have what they get", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return hanging == 6 // three quarters
	})
	post(t, st, 3, names[3:]...)
	s.Start()
	delivered := func(lane string, n uint64) bool { return counts(t, st, lane).Delivered == n }
	await(t, "all of the small lanes", func() bool {
		for _, name := range names[3:] {
			if !delivered(name, 3) {
				return false
			}
		}
		return true
	})
	await(t, "the large lane", func() bool { return delivered("large", 300) })
	mu.Lock()
	// In each stretch of the line each lane is served once: the large lane is not
	// served twice as often as a small one while that has work.
	large := 0
	for _, name := range order {
		if name == "large" {
			large++
		} else if large > 100 {
			t.Errorf("the large lane was served %d times before %s had its last", large, name)
			break
		}
	}
	most := hanging
	mu.Unlock()
	if most != 6 {
		t.Errorf("%d attempts hang, and six workers were theirs", most)
	}
	close(block)
	await(t, "those that hung", func() bool { return delivered("hangs0", 10) && delivered("hangs1", 10) && delivered("hangs2", 10) })
	closeSet(t, s)
	if s.employed != 0 || len(s.line) != 0 {
		t.Errorf("%d employed, %d in line", s.employed, len(s.line))
	}
	for name, n := range served {
		if l, err := st.Lane(context.Background(), name); err != nil || l.Counts != (store.Counts{Delivered: uint64(n)}) {
			t.Errorf("%s: served %d times, %+v, %v", name, n, l.Counts, err)
		}
	}
}

// A lane that asks for a worker in the moment in which the only one has found no lane
// gets it.
func TestLaneBehindTheLastWorker(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	s.workersMost = 1
	add(t, s, "late", policy(1, 0), func(context.Context, *Work) Result { return Result{OK: true} })
	post(t, st, 1, "late")
	// This test is the worker, which has just served another lane.
	s.employed = 1
	s.running.Add(1)
	last := make(worker, 1)
	if l, stay := s.next(last); l != nil || !stay {
		t.Fatalf("it is to go on with %v, stay %v", l, stay)
	}
	s.Start()
	if len(last) != 1 {
		t.Errorf("the lane has no worker: %d employed, %d in line", s.employed, len(s.line))
	}
	s.running.Done()
	s.pool.Go(func() { s.work(last) })
	await(t, "the delivery", func() bool { return counts(t, st, "late").Delivered == 1 })
	closeSet(t, s)
}
