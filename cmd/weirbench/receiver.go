package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// A receiver counts arrivals in sets. A set belongs to one destination of one
// program, and an event is known in it by its number: the path of a POST is the
// set, and the body's data says the number.
const (
	maxSets   = 64
	pageSize  = 1 << 16
	maxPages  = 1 << 12
	seqMarker = `"seq":`
	seqDigits = 10
)

// stall is longer than the timeout of an attempt. A handler that sleeps keeps its
// connection, so it must come to an end.
const stall = 8 * time.Second

// page holds what is known of pageSize events: how often they came, and when
// first, in nanoseconds since 1970.
type page struct {
	count [pageSize]atomic.Uint32
	first [pageSize]atomic.Int64
}

type set struct {
	arrivals, distinct, malformed atomic.Uint64
	pages                         [maxPages]atomic.Pointer[page]
}

// Counts is what a receiver says of a range of sets.
type Counts struct {
	Arrivals  uint64 `json:"arrivals"`
	Distinct  uint64 `json:"distinct"`
	Malformed uint64 `json:"malformed"`
}

func (s *set) page(n uint64) *page {
	slot := &s.pages[n/pageSize]
	if p := slot.Load(); p != nil {
		return p
	}
	slot.CompareAndSwap(nil, new(page))
	return slot.Load()
}

func (s *set) arrived(body []byte, now int64) {
	s.arrivals.Add(1)
	n, ok := sequence(body)
	if !ok {
		s.malformed.Add(1)
		return
	}
	p := s.page(n)
	if p.count[n%pageSize].Add(1) == 1 {
		p.first[n%pageSize].Store(now)
		s.distinct.Add(1)
	}
}

// sequence finds the number that the load has put into an event's data.
func sequence(body []byte) (uint64, bool) {
	i := bytes.Index(body, []byte(seqMarker))
	if i < 0 || len(body) < i+len(seqMarker)+seqDigits {
		return 0, false
	}
	digits := body[i+len(seqMarker):][:seqDigits]
	n := uint64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	// The first digit is a 1, since JSON has no numbers that begin with 0.
	n -= firstSequence
	return n, n < maxPages*pageSize
}

// receive is the receiver's process. It runs until it is killed.
func receive(args []string) error {
	f := flag.NewFlagSet("receiver", flag.ContinueOnError)
	address := f.String("address", "", "where to listen")
	if err := f.Parse(args); err != nil {
		return err
	}
	return newReceiver().ListenAndServe(*address)
}

func newReceiver() *fasthttp.Server {
	var sets [maxSets]set
	var stalled atomic.Uint64
	find := func(text []byte) (*set, bool) {
		n, err := strconv.Atoi(string(text))
		if err != nil || n < 0 || n >= maxSets {
			return nil, false
		}
		return &sets[n], true
	}
	return &fasthttp.Server{
		NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			path := ctx.Path()
			if ctx.IsPost() {
				if string(path) == "/hang" {
					time.Sleep(time.Hour) // a receiver that never answers
				}
				switch string(path) {
				case "/stall":
					stalled.Add(1)
					time.Sleep(stall)
					ctx.SetStatusCode(fasthttp.StatusInternalServerError)
					return
				case "/apart": // answered, not counted
					return
				}
				s, ok := find(path[1:])
				if !ok {
					ctx.SetStatusCode(fasthttp.StatusNotFound)
					return
				}
				s.arrived(ctx.Request.Body(), time.Now().UnixNano())
				return
			}
			q := ctx.QueryArgs()
			switch string(path) {
			case "/counts":
				var c Counts
				for n := q.GetUintOrZero("from"); n < min(q.GetUintOrZero("to"), maxSets); n++ {
					c.Arrivals += sets[n].arrivals.Load()
					c.Distinct += sets[n].distinct.Load()
					c.Malformed += sets[n].malformed.Load()
				}
				b, err := json.Marshal(c)
				if err != nil {
					ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
					return
				}
				ctx.SetBody(b)
			case "/stalled":
				ctx.SetBodyString(strconv.FormatUint(stalled.Load(), 10))
			case "/times":
				s, ok := find(q.Peek("set"))
				if !ok {
					ctx.SetStatusCode(fasthttp.StatusNotFound)
					return
				}
				var b []byte
				for n := q.GetUintOrZero("from"); n < q.GetUintOrZero("to"); n++ {
					at := s.page(uint64(n)).first[n%pageSize].Load()
					b = binary.LittleEndian.AppendUint64(b, uint64(at))
				}
				ctx.SetBody(b)
			default:
				ctx.SetStatusCode(fasthttp.StatusNotFound)
			}
		},
	}
}

// counts asks the receiver for the sum of the sets [from, to).
func counts(address string, from, to int) (Counts, error) {
	var c Counts
	b, err := fetch(fmt.Sprintf("http://%s/counts?from=%d&to=%d", address, from, to))
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(b, &c)
}

// times asks the receiver when the events [from, to) of a set came first; 0 is
// not yet.
func times(address string, n int, from, to uint64) ([]int64, error) {
	b, err := fetch(fmt.Sprintf("http://%s/times?set=%d&from=%d&to=%d", address, n, from, to))
	if err != nil {
		return nil, err
	}
	all := make([]int64, 0, len(b)/8)
	for ; len(b) >= 8; b = b[8:] {
		all = append(all, int64(binary.LittleEndian.Uint64(b)))
	}
	return all, nil
}

func fetch(url string) ([]byte, error) {
	status, b, err := fasthttp.GetTimeout(nil, url, 30*time.Second)
	if err == nil && status != fasthttp.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", url, status, b)
	}
	return b, err
}
