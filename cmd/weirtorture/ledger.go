package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ledger is what the proofs compare: what was sent, what was answered 202, and
// what the receivers got. It knows nothing of the router but what crossed the
// wire. All methods are safe for concurrent use.
type ledger struct {
	run string // begins the ids that producers give

	mu       sync.Mutex
	next     uint64
	sent     map[uint64]string // by number, the event's type
	accepted map[uint64]string // by number, the event's id
	sealed   bool
	lanes    map[string]map[uint64]*receipt
	owners   map[string]owner // by webhook-id
	repeats  int
	problems violations
}

// receipt is what a lane's receiver knows of one event.
type receipt struct {
	webhookID string
	sum       uint64
	raw       bool
	tries     int // arrivals
	taken     int // those that were answered 2xx
	first     time.Time
	last      time.Time
}

type owner struct {
	lane   string
	number uint64
}

var sumSeed = maphash.MakeSeed()

func newLedger(run string) *ledger {
	return &ledger{
		run: run, sent: map[uint64]string{}, accepted: map[uint64]string{},
		lanes: map[string]map[uint64]*receipt{}, owners: map[string]owner{},
	}
}

// violations is an error: something that was promised did not hold. It keeps
// the first few examples and counts the others.
type violations struct {
	texts []string
	count int
}

const examples = 10

func (v *violations) addf(format string, args ...any) {
	v.count++
	if len(v.texts) < examples {
		v.texts = append(v.texts, fmt.Sprintf(format, args...))
	}
}

func (v *violations) add(more violations) {
	v.count += more.count
	v.texts = append(v.texts, more.texts[:min(len(more.texts), max(0, examples-len(v.texts)))]...)
}

func (v *violations) Error() string {
	text := strings.Join(v.texts, "\n")
	if more := v.count - len(v.texts); more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
	}
	return text
}

// err is nil when there are none.
func (v *violations) err() error {
	if v.count == 0 {
		return nil
	}
	return v
}

// violated is an error of one violation.
func violated(format string, args ...any) error {
	v := &violations{}
	v.addf(format, args...)
	return v
}

// begin gives the number of a new event of a type.
func (l *ledger) begin(kind string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	l.sent[l.next] = kind
	return l.next
}

// accept notes that an event was answered 202. It is called after the answer was
// read.
func (l *ledger) accept(number uint64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed {
		return
	}
	if given := l.givenID(number); given != "" && id != given {
		l.problems.addf("event %d was sent as %s and answered as %s", number, given, id)
	}
	l.accepted[number] = id
}

// seal makes answers that come from now on count for nothing: the power is off.
func (l *ledger) seal(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = on
}

// givenID is the id that the producer gives to an event: every second has one.
func (l *ledger) givenID(number uint64) string {
	if number%2 == 1 {
		return ""
	}
	return "t-" + l.run + "-" + strconv.FormatUint(number, 10)
}

// data is an event's data. It follows from the number, so that a receiver can
// tell what was changed on the way.
func data(number uint64, size int) []byte {
	branch := "main"
	if filtered(number) {
		branch = "other"
	}
	b := append(make([]byte, 0, size+160), `{"n":`...)
	b = strconv.AppendUint(b, number, 10)
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, int64(size), 10)
	b = append(b, `,"ref":"refs/heads/`...)
	b = append(b, branch...)
	b = append(b, `","repository":{"default_branch":"main"},"pad":"x`...)
	for at := number * 2654435761; size > 0; at = at*6364136223846793005 + 1442695040888963407 {
		from := at >> 33 % uint64(len(noise)-512)
		n := min(size, 512)
		b = append(b, noise[from:from+uint64(n)]...)
		size -= n
	}
	return append(b, `"}`...)
}

// filtered says whether the example plugin drops an event.
func filtered(number uint64) bool { return number%10 == 9 }

// noise does not compress well.
var noise = func() []byte {
	b := make([]byte, 64<<10)
	x := uint64(88172645463325252)
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = letters[x>>58]
	}
	return b
}()

// head is how data begins.
type head struct {
	N    uint64 `json:"n"`
	Size int    `json:"size"`
}

// readHead finds number and size in a body, which is data or holds it.
func readHead(body []byte) (h head, at int, ok bool) {
	at = bytes.Index(body, []byte(`{"n":`))
	if at < 0 {
		return h, 0, false
	}
	end := bytes.Index(body[at:], []byte(`,"ref"`))
	if end < 0 {
		return h, 0, false
	}
	text := string(body[at:at+end]) + "}"
	return h, at, json.Unmarshal([]byte(text), &h) == nil && h.Size >= 0 && h.Size <= 16<<20
}

// arrived notes what a receiver got. taken: it answered 2xx. It returns how
// often this delivery has come before.
func (l *ledger) arrived(lane, webhookID string, body []byte, answer func(number uint64, before int) bool) {
	h, at, ok := readHead(body)
	whole := ok
	var raw bool
	if ok {
		want := data(h.N, h.Size)
		whole = bytes.HasPrefix(body[at:], want)
		raw = len(body) == len(want)
	}
	sum := maphash.Bytes(sumSeed, body)

	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !ok:
		l.problems.addf("%s got %s, which was never sent: %.120q", lane, webhookID, body)
		answer(0, 0)
		return
	case l.sent[h.N] == "":
		l.problems.addf("%s got event %d as %s, which was never sent", lane, h.N, webhookID)
	case !whole:
		l.problems.addf("%s got event %d as %s with other data than was sent", lane, h.N, webhookID)
	case webhookID == "":
		l.problems.addf("%s got event %d without a webhook-id", lane, h.N)
	}
	if was, ok := l.owners[webhookID]; ok && was != (owner{lane, h.N}) {
		l.problems.addf("the webhook-id %s came with event %d at %s and with event %d at %s", webhookID, was.number, was.lane, h.N, lane)
	}
	l.owners[webhookID] = owner{lane, h.N}
	byNumber := l.lanes[lane]
	if byNumber == nil {
		byNumber = map[uint64]*receipt{}
		l.lanes[lane] = byNumber
	}
	r := byNumber[h.N]
	if r == nil {
		r = &receipt{webhookID: webhookID, sum: sum, raw: raw, first: time.Now()}
		byNumber[h.N] = r
	}
	if r.webhookID != webhookID {
		l.problems.addf("event %d (%s) came to %s with two webhook-ids, %s and %s", h.N, l.accepted[h.N], lane, r.webhookID, webhookID)
	}
	if r.sum != sum {
		l.problems.addf("event %d (%s) came to %s with other bytes than before, as %s", h.N, l.accepted[h.N], lane, webhookID)
	}
	before := r.tries
	r.tries++
	r.last = time.Now()
	if r.taken > 0 {
		l.repeats++
	}
	if answer(h.N, before) {
		r.taken++
	}
}

// lanesOf says which lanes an event must come to, by its type and number.
type lanesOf func(kind string, number uint64) []string

// missing compares what was accepted with what arrived. want says where each
// event has to be; anywhere else it must not be.
func (l *ledger) missing(want lanesOf) violations {
	l.mu.Lock()
	defer l.mu.Unlock()
	var v violations
	for _, number := range slices.Sorted(maps.Keys(l.accepted)) {
		for _, lane := range want(l.sent[number], number) {
			if r := l.lanes[lane][number]; r == nil || r.taken == 0 {
				v.addf("event %d (%s) was answered 202 and never reached %s", number, l.accepted[number], lane)
			}
		}
	}
	return v
}

// stray finds events at lanes where they don't belong.
func (l *ledger) stray(want lanesOf) violations {
	l.mu.Lock()
	defer l.mu.Unlock()
	var v violations
	for lane, byNumber := range l.lanes {
		for number := range byNumber {
			if kind := l.sent[number]; kind != "" && !slices.Contains(want(kind, number), lane) {
				v.addf("event %d (%s) reached %s, where no route sends it", number, l.accepted[number], lane)
			}
		}
	}
	return v
}

// found returns the problems that arrivals showed.
func (l *ledger) found() violations {
	l.mu.Lock()
	defer l.mu.Unlock()
	return violations{texts: slices.Clone(l.problems.texts), count: l.problems.count}
}

// acceptedIDs returns the ids that were answered 202, with their numbers.
func (l *ledger) acceptedIDs() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make(map[string]uint64, len(l.accepted))
	for number, id := range l.accepted {
		ids[id] = number
	}
	return ids
}

// received reports whether a webhook-id has come to a lane and was taken there.
func (l *ledger) received(webhookID, lane string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o, ok := l.owners[webhookID]
	return ok && o.lane == lane && l.lanes[lane][o.number].taken > 0
}

// tally is a ledger in numbers.
type tally struct{ sent, accepted, deliveries, repeats int }

func (l *ledger) tally() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := tally{sent: len(l.sent), accepted: len(l.accepted), repeats: l.repeats}
	for _, byNumber := range l.lanes {
		t.deliveries += len(byNumber)
	}
	return t
}

func (t tally) String() string {
	return fmt.Sprintf("%d sent, %d answered 202, %d deliveries, %d repeated", t.sent, t.accepted, t.deliveries, t.repeats)
}
