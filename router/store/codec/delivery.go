package codec

import (
	"encoding/binary"
	"time"

	"github.com/weirhq/weir/router/store"
)

// Delivery is a delivery to which more happened than a first attempt with
// success.
type Delivery struct {
	State store.State
	// Due is set while it is retrying.
	Due    time.Time
	Tries  int
	Reason store.Reason
	Note   string
	// Changed is when it came into its state.
	Changed time.Time
	// Attempts are all that were made, oldest first.
	Attempts []store.Attempt
	// Key is that of the order which it is in, 0 for none.
	Key uint64
}

var stateNumbers = [...]store.State{
	store.Waiting, store.Retrying, store.Delivered, store.Dead, store.Cancelled,
}

func appendState(b []byte, s store.State) []byte {
	for i, v := range stateNumbers {
		if v == s {
			return append(b, byte(i))
		}
	}
	return append(b, 0xff) // refused when it is read
}

func (r *reader) state() store.State {
	i := int(r.byte())
	if i >= len(stateNumbers) {
		r.fail("no state has that number")
		return ""
	}
	return stateNumbers[i]
}

// AppendDelivery appends d.
func AppendDelivery(b []byte, d *Delivery) []byte {
	start := len(b)
	b = append(b, version)
	b = appendState(b, d.State)
	b = appendTime(b, d.Due)
	b = binary.AppendUvarint(b, uint64(max(d.Tries, 0)))
	b = appendString(b, string(d.Reason))
	b = appendString(b, d.Note)
	b = appendTime(b, d.Changed)
	b = binary.AppendUvarint(b, uint64(len(d.Attempts)))
	for i := range d.Attempts {
		b = appendAttempt(b, &d.Attempts[i])
	}
	return appendKey(b, start, d.Key)
}

// keyed is the version of rows that end with the key of an order. Those without
// one are of the version before, as they were before there were keys.
const keyed = 2

// appendKey ends the row that begins at start.
func appendKey(b []byte, start int, key uint64) []byte {
	if key == 0 {
		return b
	}
	b[start] = keyed
	return binary.AppendUvarint(b, key)
}

func (r *reader) key() uint64 {
	if r.err != nil || r.version < keyed {
		return 0
	}
	key := r.uvarint()
	if r.err == nil && key == 0 {
		r.fail("a key that is none")
	}
	return key
}

// DecodeDelivery decodes bytes of [AppendDelivery].
func DecodeDelivery(b []byte) (*Delivery, error) {
	r := newReaderOf("delivery", string(b), keyed)
	d := &Delivery{
		State: r.state(), Due: r.time(), Tries: r.int(),
		Reason: store.Reason(r.string()), Note: r.string(), Changed: r.time(),
	}
	if n := r.count(attemptMin); n > 0 {
		d.Attempts = make([]store.Attempt, 0, n)
		for range n {
			d.Attempts = append(d.Attempts, r.attempt())
		}
	}
	d.Key = r.key()
	if err := r.end(); err != nil {
		return nil, err
	}
	return d, nil
}

// attemptMin is the fewest bytes of an attempt.
const attemptMin = 12

func appendAttempt(b []byte, a *store.Attempt) []byte {
	b = binary.AppendUvarint(b, uint64(max(a.Number, 0)))
	b = appendTime(b, a.Started)
	for _, d := range [...]time.Duration{a.Latency, a.DNS, a.Connect, a.TLS, a.FirstByte} {
		b = binary.AppendVarint(b, int64(d))
	}
	b = binary.AppendUvarint(b, uint64(max(a.Status, 0)))
	b = appendString(b, a.Reason)
	b = appendString(b, a.Error)
	return appendBytes(b, a.Body)
}

func (r *reader) attempt() store.Attempt {
	return store.Attempt{
		Number: r.int(), Started: r.time(),
		Latency: r.duration(), DNS: r.duration(), Connect: r.duration(),
		TLS: r.duration(), FirstByte: r.duration(),
		Status: r.int(), Reason: r.string(), Error: r.string(), Body: r.bytes(),
	}
}

// Settled is one line of a lane's history: a delivery that was delivered or
// cancelled.
type Settled struct {
	Ref store.Ref
	// Row says that the delivery has a row of its own, which tells the rest.
	Row bool
	// Attempt is the one attempt of a delivery without a row, nil where there
	// was none, and Tries what its schedule has used up.
	Attempt *store.Attempt
	Tries   int
}

const (
	settledRow = 1 << iota
	settledAttempt
)

// AppendHistory appends lines, whose references must ascend.
func AppendHistory(b []byte, lines []Settled) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(len(lines)))
	var last store.Ref
	for i := range lines {
		l := &lines[i]
		var flags byte
		if l.Row {
			flags |= settledRow
		}
		if l.Attempt != nil {
			flags |= settledAttempt
		}
		b = append(b, flags)
		b = appendRefAfter(b, last, l.Ref)
		b = binary.AppendUvarint(b, uint64(max(l.Tries, 0)))
		if l.Attempt != nil {
			b = appendAttempt(b, l.Attempt)
		}
		last = l.Ref
	}
	return b
}

// DecodeHistory decodes bytes of [AppendHistory].
func DecodeHistory(b []byte) ([]Settled, error) {
	r := newReader("history", string(b))
	n := r.count(4)
	lines := make([]Settled, 0, n)
	var attempts []store.Attempt // one piece of memory for all: most lines have one
	var last store.Ref
	for i := range n {
		flags := r.byte()
		l := Settled{Ref: r.refAfter(last), Row: flags&settledRow != 0}
		last = l.Ref
		l.Tries = r.int()
		if flags&settledAttempt != 0 {
			if attempts == nil {
				attempts = make([]store.Attempt, 0, n-i)
			}
			attempts = append(attempts, r.attempt())
			l.Attempt = &attempts[len(attempts)-1]
		}
		if flags&^(settledRow|settledAttempt) != 0 {
			r.fail("unknown flags")
		}
		if r.err != nil {
			break
		}
		lines = append(lines, l)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return lines, nil
}
