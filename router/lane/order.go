package lane

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Order makes deliveries of the same key follow one another: the next starts when
// the one before is delivered, dead or cancelled.
//
// The first of a key that is not is its head: it is in flight, or a retry that is
// due some time and is stored with the key. What comes behind it is parked: it
// leaves the lane's order for a retry that is due at no time, which the store finds
// by its key. So a lane remembers the keys that have a head, and how many are
// parked behind each, and no delivery. What it remembers follows from the retries
// in the store, from which it is read at a start.
type Order struct {
	// Whole gives all deliveries one key; then nothing is parked, and what comes
	// stays in the lane's order.
	Whole bool
	// Key gives that of a message as it will be sent, and false where it has none:
	// those share one.
	Key func(*event.Message) (string, bool)
}

const (
	// headsMost bounds the keys that have a head: past it a lane takes no further
	// postings until some are free.
	headsMost = 1 << 16
	// chainFetch is how many parked deliveries of a key are read at a time.
	chainFetch = 64
	// freedLook bounds the keys that are looked at for the next delivery.
	freedLook = 32
	// sharedKey is that of messages without one, and of a whole lane.
	sharedKey = 1
	parkNote  = "waits for an earlier one of its key"
)

// key of a delivery, 1 to store.MaxKey. Two texts with the same would be one key;
// with 62 bits of SHA-256 nobody makes that happen.
func (o *Order) key(e *event.Event, r *store.Routing, d *store.Delivery) uint64 {
	if o.Whole {
		return sharedKey
	}
	text, ok := o.Key(r.Message(e, d))
	if !ok {
		return sharedKey
	}
	sum := sha256.Sum256([]byte(text))
	return max(binary.BigEndian.Uint64(sum[:])&store.MaxKey, sharedKey+1)
}

// keyState is what a lane remembers of a key.
type keyState struct {
	led  bool      // it has a head
	head store.Ref // in flight or retrying
	// parked counts those behind it, and fresh those of them whose row is not
	// committed yet.
	parked, fresh int
	// chain are the next of them that were read, and from is where to read on.
	chain []store.Retry
	from  store.Ref
}

// order is the part of a lane that keeps its order. The lane's mu guards it.
type order struct {
	keys  map[uint64]*keyState
	heads int
	// behind counts all that is parked, of all keys.
	behind int
	freed  []uint64 // keys with parked deliveries and without a head
	// claiming: the key of the posting claim is being found out. It is one at a
	// time, so that keys are claimed in the lane's order.
	claiming bool
	claim    store.Ref
}

// recover reads which keys have a head and what is parked. all is for lanes that
// are ordered, or may be: without it only what is parked makes it read all.
func (o *order) recover(ctx context.Context, st store.Store, lane string, all bool) error {
	o.keys = map[uint64]*keyState{}
	if !all {
		parked, err := st.RetriesFrom(ctx, lane, store.Park(sharedKey), store.Ref{}, 1)
		if err != nil || len(parked) == 0 {
			return err
		}
	}
	due, ref := time.Time{}, store.Ref{}
	for {
		retries, err := st.RetriesFrom(ctx, lane, due, ref, 1000)
		if err != nil {
			return err
		}
		for _, y := range retries {
			due, ref = y.Due, y.Ref.Next()
			if key, parked := store.Parked(y.Due); parked {
				o.state(key).parked++
				o.behind++
			} else if y.Key != 0 {
				o.lead(y.Key, y.Ref)
			}
		}
		if len(retries) == 0 {
			break
		}
	}
	for key, k := range o.keys {
		if !k.led {
			o.freed = append(o.freed, key)
		}
	}
	return nil
}

func (o *order) state(key uint64) *keyState {
	k := o.keys[key]
	if k == nil {
		k = &keyState{}
		o.keys[key] = k
	}
	return k
}

// lead makes a delivery the head of its key.
func (o *order) lead(key uint64, ref store.Ref) {
	k := o.state(key)
	if !k.led {
		o.heads++
	}
	k.led, k.head = true, ref
}

// free ends a head: the next of its key may follow.
func (o *order) free(key uint64, ref store.Ref) {
	k := o.keys[key]
	if key == 0 || k == nil || !k.led || k.head != ref {
		return
	}
	k.led = false
	o.heads--
	if k.parked == 0 {
		delete(o.keys, key)
		return
	}
	o.freed = append(o.freed, key)
}

// left is told of a delivery that was moved by hand out of a retry with a key.
func (o *order) left(key uint64, ref store.Ref) {
	k := o.keys[key]
	switch {
	case key == 0 || k == nil:
	case k.led && k.head == ref:
		o.free(key, ref)
	case k.parked > 0:
		k.chain = slices.DeleteFunc(k.chain, func(y store.Retry) bool { return y.Ref == ref })
		o.behind--
		if k.parked--; k.parked == 0 && !k.led {
			delete(o.keys, key)
		}
	}
}

// claimKey makes a posting the head of its key, or parks it behind the head that
// there is, and then gives false.
func (l *lane) claimKey(j *job, key uint64) bool {
	l.mu.Lock()
	l.order.claiming, j.claims = false, false
	if l.order.keys[key] == nil {
		l.order.lead(key, j.ref)
		j.key = key
		l.start()
		l.mu.Unlock()
		return true
	}
	k := l.order.keys[key]
	k.parked++
	k.fresh++
	l.order.behind++
	l.start()
	l.mu.Unlock()
	l.add(*j, store.Outcome{
		Ref: j.ref, From: store.Waiting, To: store.Retrying, Due: store.Park(key), Key: key, Note: parkNote,
	}, nil)
	return false
}

// unclaim ends the claim of a posting that claims no key. Callers hold mu.
func (l *lane) unclaim(j job) {
	if j.claims {
		l.order.claiming = false
		l.start()
	}
}

// mayClaim says whether another posting may be taken.
func (l *lane) mayClaim() bool {
	o := l.policy.Order
	return o == nil || !l.order.claiming && l.order.heads < headsMost && (!o.Whole || l.order.heads == 0)
}

// passed says that all postings before a reference have found out their keys.
// After a start there may be some that an earlier run had in flight.
func (l *lane) passed(ref store.Ref) bool {
	o := &l.order
	return ref.Less(l.covered) && (len(l.ahead) == 0 || ref.Less(l.ahead[0].ref)) && !(o.claiming && o.claim.Less(ref))
}

// takeFreed gives the next delivery of a key whose head has ended.
func (l *lane) takeFreed() (job, bool) {
	o := &l.order
	for range min(len(o.freed), freedLook) {
		key := o.freed[0]
		o.freed = o.freed[1:]
		k := o.keys[key]
		if k == nil || k.led {
			continue
		}
		if len(k.chain) == 0 || l.busy[k.chain[0].Ref] || !l.passed(k.chain[0].Ref) ||
			l.policy.Order != nil && l.policy.Order.Whole && o.heads > 0 {
			o.freed = append(o.freed, key)
			continue
		}
		y := k.chain[0]
		k.chain = k.chain[1:]
		k.parked--
		o.behind--
		o.lead(key, y.Ref)
		l.busy[y.Ref] = true
		return job{posting: posting{ref: y.Ref}, retry: true, key: key, tries: y.Tries, attempts: y.Attempts}, true
	}
	return job{}, false
}

// wantChain gives a key whose parked deliveries are to be read, 0 for none.
func (o *order) wantChain() uint64 {
	for _, key := range o.freed[:min(len(o.freed), freedLook)] {
		if k := o.keys[key]; k != nil && !k.led && len(k.chain) == 0 && k.parked > k.fresh {
			return key
		}
	}
	return 0
}

// readChain reads the next parked deliveries of a key. It lets go of mu meanwhile.
func (l *lane) readChain(key uint64) error {
	k := l.order.keys[key]
	from, fresh := k.from, k.fresh
	l.reading = true
	l.mu.Unlock()
	retries, err := l.set.store.RetriesFrom(l.set.ctx, l.name, store.Park(key), from, chainFetch)
	l.mu.Lock()
	l.reading = false
	if err != nil {
		return err
	}
	if l.order.keys[key] != k || k.led || len(k.chain) > 0 {
		return nil // something was done by hand meanwhile
	}
	for _, y := range retries {
		if of, _ := store.Parked(y.Due); of != key {
			break
		}
		k.chain = append(k.chain, y)
		k.from = y.Ref.Next()
	}
	if len(k.chain) == 0 && fresh == 0 {
		// They have ended by age, or could not be stored.
		delete(l.order.keys, key)
	}
	return nil
}

// recheck frees keys whose head has ended without the lane: by age.
func (l *lane) recheck(ctx context.Context) error {
	l.mu.Lock()
	heads := map[uint64]store.Ref{}
	for key, k := range l.order.keys {
		if k.led && !l.busy[k.head] {
			heads[key] = k.head
		}
		if len(k.chain) > 0 {
			k.from, k.chain = k.chain[0].Ref, nil
		}
	}
	l.mu.Unlock()
	for key, ref := range heads {
		d, err := l.set.store.Delivery(ctx, ref)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && d.State == store.Retrying {
			continue
		}
		l.mu.Lock()
		if !l.busy[ref] {
			l.order.free(key, ref)
			l.start()
		}
		l.mu.Unlock()
	}
	return nil
}
