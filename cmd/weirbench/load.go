package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	eventSize     = 1024
	firstSequence = 1_000_000_000 // ten digits
	typeDigits    = 5
	valueDigits   = 16
)

// load is what producers do in one turn.
type load struct {
	connections int
	// period is how long producers go on; limit, where it is not 0, is the most
	// events.
	period time.Duration
	limit  uint64
	// rate is in events a second; 0 is as fast as they are answered.
	rate float64
	// types is how many event types take turns.
	types int
	// timed asks for the times of the answers.
	timed bool
	// apart says which events lead to deliveries that are not counted.
	apart func(number uint64) bool
}

// loaded is what producers saw.
type loaded struct {
	accepted, refused uint64
	apart             uint64 // of those accepted
	problem           string
	took              time.Duration
	first             uint64  // number of the first event of the turn
	answered          []int64 // by number from first, in ns since 1970; 0 is refused
	sent              []int64
}

// eventBody is an event of exactly eventSize bytes. Its members have names that
// are alike from event to event and values that are not: what the store presses
// together shrinks as JSON does, and not to nothing.
type eventBody struct {
	bytes     []byte
	seq, kind int
	values    [][]byte // parts of bytes, 16 hexadecimal digits each
}

func newEventBody() *eventBody {
	head := `{"event":"bench.t` + strings.Repeat("0", typeDigits) + `","data":{` + seqMarker + strings.Repeat("0", seqDigits)
	const foot = `,"pad":""}}`
	text := head
	var at []int
	for {
		member := fmt.Sprintf(`,"field_%02d":"`, len(at))
		if len(text)+len(member)+valueDigits+1+len(foot) > eventSize {
			break
		}
		at = append(at, len(text)+len(member))
		text += member + strings.Repeat("0", valueDigits) + `"`
	}
	rest := eventSize - len(text) - len(foot)
	e := &eventBody{bytes: []byte(text + `,"pad":"` + strings.Repeat("x", rest) + `"}}`)}
	e.seq = bytes.Index(e.bytes, []byte(seqMarker)) + len(seqMarker)
	e.kind = bytes.Index(e.bytes, []byte("bench.t")) + len("bench.t")
	for _, i := range at {
		e.values = append(e.values, e.bytes[i:i+valueDigits])
	}
	return e
}

// fill puts number and type in, and values that follow from the number.
func (e *eventBody) fill(number uint64, types int) []byte {
	digits(e.bytes[e.seq:e.seq+seqDigits], number+firstSequence)
	digits(e.bytes[e.kind:e.kind+typeDigits], kindOf(number, types))
	x := number
	for _, v := range e.values {
		x += 0x9e3779b97f4a7c15 // splitmix64
		z := (x ^ x>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		for i := range v {
			v[i] = "0123456789abcdef"[z&15]
			z >>= 4
		}
	}
	return e.bytes
}

// kindOf is the type of an event.
func kindOf(number uint64, types int) uint64 { return number % uint64(max(types, 1)) }

func digits(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// drive posts events to url, numbered from *next on, and moves *next.
func drive(ctx context.Context, url string, next *uint64, l load) loaded {
	first := *next
	var number, accepted, refused, apart atomic.Uint64
	number.Store(first)
	result := loaded{first: first}
	if l.timed {
		room := int(l.rate*l.period.Seconds()) + l.connections + 1
		result.answered, result.sent = make([]int64, room), make([]int64, room)
	}
	// No try is repeated behind our back: a repeated event would look doubled.
	client := &fasthttp.Client{MaxConnsPerHost: l.connections, MaxIdemponentCallAttempts: 1}
	defer client.CloseIdleConnections()
	var problem atomic.Pointer[string]
	start := time.Now()
	var producers sync.WaitGroup
	for range l.connections {
		producers.Go(func() {
			body := newEventBody()
			req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			req.Header.SetMethod(fasthttp.MethodPost)
			req.Header.SetContentType("application/json")
			req.SetRequestURI(url)
			for ctx.Err() == nil && time.Since(start) < l.period {
				n := number.Add(1) - 1
				if l.limit > 0 && n-first >= l.limit {
					return
				}
				if l.rate > 0 {
					due := start.Add(time.Duration(float64(n-first) / l.rate * float64(time.Second)))
					if due.Sub(start) >= l.period {
						return
					}
					time.Sleep(time.Until(due))
				}
				req.SetBodyRaw(body.fill(n, l.types))
				if l.timed {
					result.sent[n-first] = time.Now().UnixNano()
				}
				err := client.DoTimeout(req, res, 30*time.Second)
				if err != nil || res.StatusCode() != fasthttp.StatusAccepted {
					refused.Add(1)
					text := fmt.Sprintf("status %d: %s", res.StatusCode(), res.Body())
					if err != nil {
						text = err.Error()
					}
					problem.CompareAndSwap(nil, &text)
					continue
				}
				if l.timed {
					result.answered[n-first] = time.Now().UnixNano()
				}
				accepted.Add(1)
				if l.apart != nil && l.apart(n) {
					apart.Add(1)
				}
			}
		})
	}
	producers.Wait()
	result.took = time.Since(start)
	result.accepted, result.refused, result.apart = accepted.Load(), refused.Load(), apart.Load()
	if p := problem.Load(); p != nil {
		result.problem = *p
	}
	*next = number.Load()
	return result
}

// fillUp posts n events as fast as they are taken.
func fillUp(ctx context.Context, c *contender, n int) error {
	l := drive(ctx, "http://"+c.address+"/events", &c.next, load{connections: many, period: time.Hour, limit: uint64(n)})
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.refused > 0 || l.accepted != uint64(n) {
		return fmt.Errorf("%s accepted %d of %d events: %s", c.name, l.accepted, n, l.problem)
	}
	c.accepted += l.accepted
	return c.alive()
}
