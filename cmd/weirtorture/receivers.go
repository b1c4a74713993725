package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// misbehaviours are what a receiver does once it has read a request, and the
// outcomes that may be recorded for it, see docs/destinations.md.
var misbehaviours = map[string]struct {
	do   func(c net.Conn, end <-chan struct{})
	want []string
}{
	"hang":        {func(c net.Conn, end <-chan struct{}) { <-end }, []string{"timeout"}},
	"drip-body":   {func(c net.Conn, end <-chan struct{}) { drip(c, end, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") }, []string{"timeout"}},
	"drip-header": {func(c net.Conn, end <-chan struct{}) { drip(c, end, "HTTP/1.1 200 OK\r\nX-Slow: ") }, []string{"timeout"}},
	"close-early": {func(net.Conn, <-chan struct{}) {}, []string{"reset"}},
	"close-body":  {say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"), []string{"reset"}},
	"reset":       {func(c net.Conn, _ <-chan struct{}) { _ = c.(*net.TCPConn).SetLinger(0) }, []string{"reset"}},
	"no-http":     {say("SSH-2.0-OpenSSH_9.0\r\n\r\n"), []string{"protocol"}},
	"switch":      {say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), []string{"protocol"}},
	"redirect":    {say("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), []string{"status"}},
	"error":       {say("HTTP/1.1 500 Oh No\r\nContent-Length: 0\r\n\r\n"), []string{"status"}},
	"many-headers": {func(c net.Conn, end <-chan struct{}) {
		flood(c, end, "HTTP/1.1 200 OK\r\n", "X-More: "+strings.Repeat("m", 1000)+"\r\n")
	}, []string{"too_large"}},
	"long-header": {func(c net.Conn, end <-chan struct{}) {
		flood(c, end, "HTTP/1.1 200 OK\r\nX-Long: ", strings.Repeat("l", 1000))
	}, []string{"too_large"}},
	// These two have been delivered: 200 was said.
	"endless-body": {func(c net.Conn, end <-chan struct{}) {
		flood(c, end, "HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("b", 1000))
	}, []string{"too_large"}},
	"garbage": {say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\x00\xff garbage that nobody asked for\r\n\r\n"), []string{"delivered"}},
}

func say(text string) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, _ <-chan struct{}) { _, _ = c.Write([]byte(text)) } // the router may be tired of it
}

// drip sends a byte a second behind head.
func drip(c net.Conn, end <-chan struct{}, head string) {
	if _, err := c.Write([]byte(head)); err != nil {
		return
	}
	for {
		select {
		case <-end:
			return
		case <-time.After(time.Second):
		}
		if _, err := c.Write([]byte("a")); err != nil {
			return
		}
	}
}

// flood sends without an end.
func flood(c net.Conn, end <-chan struct{}, head, more string) {
	b := []byte(head + strings.Repeat(more, 64))
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
		b = []byte(strings.Repeat(more, 64))
		select {
		case <-end:
			return
		default:
		}
	}
}

// misbehaver listens on a port for each misbehaviour.
type misbehaver struct {
	end       chan struct{}
	listeners map[string]net.Listener
	wg        sync.WaitGroup
	mu        sync.Mutex
	conns     map[net.Conn]bool
}

func startMisbehaver() (*misbehaver, error) {
	m := &misbehaver{end: make(chan struct{}), listeners: map[string]net.Listener{}, conns: map[net.Conn]bool{}}
	for name, mis := range misbehaviours {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			m.stop()
			return nil, err
		}
		m.listeners[name] = l
		m.wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return // stopped
				}
				m.mu.Lock()
				m.conns[c] = true
				m.mu.Unlock()
				m.wg.Go(func() {
					defer func() {
						m.mu.Lock()
						delete(m.conns, c)
						m.mu.Unlock()
						_ = c.Close() // the other side may have closed it
					}()
					if readRequest(c) {
						mis.do(c, m.end)
					}
				})
			}
		})
	}
	return m, nil
}

// readRequest reads one request whole, so that what is not read is no reason for
// the kernel to reset the connection.
func readRequest(c net.Conn) bool {
	req, err := http.ReadRequest(bufio.NewReaderSize(c, 64<<10))
	if err != nil {
		return false
	}
	b := make([]byte, 32<<10)
	for {
		if _, err := req.Body.Read(b); err != nil {
			return true
		}
	}
}

func (m *misbehaver) stop() {
	close(m.end)
	for _, l := range m.listeners {
		_ = l.Close()
	}
	m.mu.Lock()
	for c := range m.conns {
		_ = c.Close()
	}
	m.mu.Unlock()
	m.wg.Wait()
}

// proveReceivers sends to receivers that misbehave and to a healthy one beside
// them. Each misbehaviour is told as what it is, the healthy one gets all it
// should, and the router's memory stays flat.
func proveReceivers(ctx context.Context, t *trial) (string, error) {
	l := newLedger(filepath.Base(t.dir))
	rec, err := startReceiver(l, always)
	if err != nil {
		return "", err
	}
	defer rec.stop()
	bad, err := startMisbehaver()
	if err != nil {
		return "", err
	}
	defer bad.stop()
	closed, err := freeAddress()
	if err != nil {
		return "", err
	}
	lanes := map[string][]string{"closed-port": {"refused"}}
	targets := map[string]string{"closed-port": closed}
	for name, mis := range misbehaviours {
		lanes[name], targets[name] = mis.want, bad.listeners[name].Addr().String()
	}
	names := slices.Sorted(maps.Keys(lanes))
	blocks := rec.destination("healthy") + route("healthy", "good", []string{"healthy"}) + route("bad", "bad", names)
	for _, name := range names {
		blocks += fmt.Sprintf("destination %q {\n  url = \"http://%s/\"\n  timeout = \"1500ms\"\n  retry {\n    schedule = [\"0s\", \"100ms\"]\n  }\n}\n", name, targets[name])
	}
	w, err := t.router(blocks)
	if err != nil {
		return "", err
	}
	if err := w.start(ctx); err != nil {
		return "", err
	}
	m := watchMemory(w)
	good := produce(l, w, traffic{producers: 8, kinds: []string{"good"}, size: sizes(50, 1500), pause: 2 * time.Millisecond})
	evil := produce(newLedger("bad"), w, traffic{producers: 1, kinds: []string{"bad"}, size: sizes(50, 1500), pause: 50 * time.Millisecond})
	err = pause(ctx, time.Duration(t.seconds(7, 30, 3))*time.Second)
	evil.stop()
	good.stop()
	first, second, grown := m.stop()
	if err := errors.Join(err, grown); err != nil {
		var v *violations
		if errors.As(grown, &v) {
			return "", v
		}
		return "", err
	}
	// The healthy one waits for no other: it has all while others still time out.
	everywhere := func(kind string, _ uint64) []string {
		if kind == "good" {
			return []string{"healthy"}
		}
		return nil
	}
	err = eventually(ctx, 10*time.Second, "the healthy receiver", func() (bool, error) {
		return l.missing(everywhere).count == 0, w.mustLive()
	})
	v := l.missing(everywhere)
	if err != nil && v.count == 0 {
		return "", err
	}
	v.add(l.found())
	v.add(l.stray(everywhere))
	if v.count > 0 {
		return "", v.err()
	}
	counted := 0
	for _, name := range names {
		seen := map[string]int{}
		err := eventually(ctx, 15*time.Second, "attempts at "+name, func() (bool, error) {
			clear(seen)
			err := w.pages(ctx, "/api/deliveries", url.Values{"destination": {name}}, func(p *page) {
				for _, d := range p.Deliveries {
					for _, a := range d.Attempts {
						seen[a.Outcome]++
					}
				}
			})
			return len(seen) > 0, err
		})
		if err != nil {
			return "", err
		}
		for outcome, n := range seen {
			counted += n
			if !slices.Contains(lanes[name], outcome) {
				v.addf("%s is told as %s %d times, and should be %v", name, outcome, n, lanes[name])
			}
		}
	}
	if err := v.err(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d misbehaviours, %d deliveries to them told as what they were; beside them %s; %d and then %d MiB", len(names), counted, l.tally(), first, second), nil
}
