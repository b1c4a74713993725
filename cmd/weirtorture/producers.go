package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// slowestAnswer is the longest that a healthy producer may wait beside those that
// misbehave, on a machine that is busy with many other things.
const slowestAnswer = 4 * time.Second

// attackers are producers that misbehave, and how many at once.
var attackers = []struct {
	name  string
	count int
	do    func(a *attack, c net.Conn)
}{
	{"slow headers", 100, func(a *attack, c net.Conn) {
		a.trickle(c, "POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\n", "X-Slow: very\r\n", 100*time.Millisecond)
	}},
	{"slow bodies", 100, func(a *attack, c net.Conn) {
		a.trickle(c, request(1000), "a", 100*time.Millisecond)
	}},
	{"idle", 100, func(a *attack, c net.Conn) { a.trickle(c, "", "", time.Hour) }},
	{"churn", 4, func(*attack, net.Conn) {}},
	{"aborted headers", 2, func(_ *attack, c net.Conn) { shout(c, "POST /events HTTP/1.1\r\nHost: 127") }},
	{"aborted bodies", 2, func(_ *attack, c net.Conn) { shout(c, request(1000)+`{"event":"never","data":{"n":1`) }},
	{"reset", 2, func(_ *attack, c net.Conn) {
		shout(c, request(100_000)+string(noise[:2000]))
		_ = c.(*net.TCPConn).SetLinger(0) // it is about to be closed
	}},
	{"garbage", 2, func(_ *attack, c net.Conn) {
		b := make([]byte, 1+rand.IntN(4000))
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		shout(c, string(b))
		hear(c)
	}},
	{"lengths that lie", 1, func(_ *attack, c net.Conn) {
		shout(c, "POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999\r\n\r\n")
		hear(c)
	}},
	{"huge headers", 1, func(_ *attack, c net.Conn) {
		shout(c, "POST /events HTTP/1.1\r\nX-Big: "+string(noise[:60_000]))
		hear(c)
	}},
	{"huge bodies", 1, func(_ *attack, c net.Conn) {
		shout(c, request(64<<20))
		for range 64 {
			if _, err := c.Write(noise); err != nil {
				return
			}
		}
	}},
	{"no event", 1, func(_ *attack, c net.Conn) { shout(c, request(7)+"no json"); hear(c) }},
}

func request(length int) string {
	return fmt.Sprintf("POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
}

func shout(c net.Conn, text string) { _, _ = io.WriteString(c, text) } // the router may hang up

// hear reads what the router has to say to it.
func hear(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = c.Read(make([]byte, 4096))
}

// attack is all attackers at work, until end.
type attack struct {
	address string
	end     chan struct{}
	wg      sync.WaitGroup
	conns   atomic.Int64
}

func startAttack(address string) *attack {
	a := &attack{address: address, end: make(chan struct{})}
	for _, x := range attackers {
		for range x.count {
			a.wg.Go(func() {
				for !a.ended() {
					c, err := net.DialTimeout("tcp", address, 2*time.Second)
					if err != nil {
						time.Sleep(10 * time.Millisecond)
						continue
					}
					a.conns.Add(1)
					_ = c.SetDeadline(time.Now().Add(30 * time.Second))
					x.do(a, c)
					_ = c.Close() // the other side may have closed it
					time.Sleep(500 * time.Microsecond)
				}
			})
		}
	}
	return a
}

func (a *attack) ended() bool {
	select {
	case <-a.end:
		return true
	default:
		return false
	}
}

func (a *attack) trickle(c net.Conn, head, more string, every time.Duration) {
	shout(c, head)
	for {
		select {
		case <-a.end:
			return
		case <-time.After(every):
		}
		if _, err := io.WriteString(c, more); err != nil {
			return
		}
	}
}

func (a *attack) stop() {
	close(a.end)
	a.wg.Wait()
}

// proveProducers lets many producers misbehave beside a few healthy ones, which
// are all answered, and soon.
func proveProducers(ctx context.Context, t *trial) (string, error) {
	l := newLedger(filepath.Base(t.dir))
	rec, err := startReceiver(l, func(string, uint64, int) int { return 200 })
	if err != nil {
		return "", err
	}
	defer rec.stop()
	w, err := t.router(rec.destination("plain") + route("plain", "*", []string{"plain"}))
	if err != nil {
		return "", err
	}
	if err := w.start(ctx); err != nil {
		return "", err
	}
	a := startAttack(w.address)
	if err := pause(ctx, time.Second); err != nil {
		a.stop()
		return "", err
	}
	m := watchMemory(w)
	p := produce(l, w, traffic{producers: 8, kinds: []string{"plain"}, size: sizes(50, 1500), pause: time.Millisecond})
	err = pause(ctx, time.Duration(t.seconds(7, 30, 3))*time.Second)
	p.stop()
	first, second, grown := m.stop()
	a.stop()
	if err != nil {
		return "", err
	}
	var v violations
	if refused, what := p.refusals(); refused > 0 || p.full.Load() > 0 {
		v.addf("%d of the healthy producers' events were refused: %s", refused, what)
	}
	if p.slowest > slowestAnswer {
		v.addf("a healthy producer waited %s for its answer", p.slowest.Round(time.Millisecond))
	}
	var more *violations
	if errors.As(grown, &more) {
		v.add(*more)
	} else if grown != nil {
		return "", grown
	}
	if v.count > 0 {
		return "", v.err()
	}
	if err := settle(ctx, w, l, func(string, uint64) []string { return []string{"plain"} }, 30*time.Second, false); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d connections of %d kinds of attackers; beside them %s, slowest answer %s; %d and then %d MiB",
		a.conns.Load(), len(attackers), l.tally(), p.slowest.Round(time.Millisecond), first, second), nil
}
