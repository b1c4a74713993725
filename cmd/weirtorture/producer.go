package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// traffic is what producers send.
type traffic struct {
	producers int
	kinds     []string // types, in turns
	// size gives the pad of an event in bytes.
	size func(number uint64) int
	// pause between a producer's events.
	pause time.Duration
	// patient producers repeat an event that has an id until it is answered, as
	// a good one does.
	patient bool
}

func sizes(least, most int) func(uint64) int {
	return func(number uint64) int { return least + int(number*2654435761>>7%uint64(most-least+1)) }
}

// producing is traffic that runs until stop.
type producing struct {
	ledger *ledger
	url    string
	what   traffic
	client *fasthttp.Client
	end    atomic.Bool
	wg     sync.WaitGroup

	answered atomic.Int64 // with 202
	full     atomic.Int64 // with 507
	mu       sync.Mutex
	other    map[string]int // by status or error
	slowest  time.Duration  // of those answered 202
}

// produce starts producers that post to a router.
func produce(l *ledger, w *weir, what traffic) *producing {
	p := &producing{ledger: l, url: w.url("/events"), what: what, other: map[string]int{}}
	p.client = &fasthttp.Client{MaxConnsPerHost: what.producers, MaxIdemponentCallAttempts: 1, ReadTimeout: 20 * time.Second}
	for range what.producers {
		p.wg.Go(p.run)
	}
	return p
}

// stop ends the producers and waits for them. A router that is gone must be gone
// already, or they wait for their answers.
func (p *producing) stop() {
	p.end.Store(true)
	p.wg.Wait()
	p.client.CloseIdleConnections()
}

func (p *producing) run() {
	for i := 0; !p.end.Load(); i++ {
		kind := p.what.kinds[i%len(p.what.kinds)]
		number := p.ledger.begin(kind)
		for {
			done, err := p.post(number, kind)
			if done {
				break
			}
			if err != nil {
				time.Sleep(2 * time.Millisecond) // the router is gone
			} else {
				time.Sleep(10 * time.Millisecond) // it asks for patience
			}
			if p.end.Load() || !p.what.patient || p.ledger.givenID(number) == "" {
				break
			}
		}
		if p.what.pause > 0 {
			time.Sleep(p.what.pause)
		}
	}
}

// body is an event as it is posted.
func (l *ledger) body(number uint64, kind string, size int) []byte {
	b := append(make([]byte, 0, size+300), `{"event":`...)
	b = strconv.AppendQuote(b, kind)
	if id := l.givenID(number); id != "" {
		b = append(b, `,"event_id":`...)
		b = strconv.AppendQuote(b, id)
	}
	b = append(b, `,"data":`...)
	b = append(b, data(number, size)...)
	return append(b, '}')
}

// post sends an event once. done: it was answered 202, or never will be.
func (p *producing) post(number uint64, kind string) (done bool, err error) {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.SetRequestURI(p.url)
	req.SetBodyRaw(p.ledger.body(number, kind, p.what.size(number)))
	began := time.Now()
	if err := p.client.Do(req, res); err != nil {
		p.note(fmt.Sprintf("%T", errors.Unwrap(err)))
		return false, err
	}
	switch res.StatusCode() {
	case fasthttp.StatusAccepted:
	case fasthttp.StatusInsufficientStorage:
		p.full.Add(1)
		return false, nil
	default:
		p.note(strconv.Itoa(res.StatusCode()))
		return res.StatusCode()/100 == 4, nil
	}
	var a struct {
		EventID string `json:"event_id"`
	}
	if err := json.Unmarshal(res.Body(), &a); err != nil || a.EventID == "" {
		p.note("202 without an id")
		return true, nil
	}
	p.ledger.accept(number, a.EventID)
	p.answered.Add(1)
	took := time.Since(began)
	p.mu.Lock()
	p.slowest = max(p.slowest, took)
	p.mu.Unlock()
	return true, nil
}

func (p *producing) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.other[what]++
}

// refusals counts the answers that are neither 202 nor 507, and errors.
func (p *producing) refusals() (n int, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.other {
		n += c
	}
	return n, fmt.Sprint(p.other)
}
