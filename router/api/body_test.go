package api

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/store"
)

// serveOn answers real connections, which app.Test has none of.
func serveOn(t *testing.T, e Engine, o Options) string {
	t.Helper()
	app := New(e, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(l) }()
	t.Cleanup(func() {
		if err := app.ShutdownWithTimeout(time.Second); err != nil {
			t.Log(err)
		}
		<-served
	})
	return l.Addr().String()
}

// rawAnswer sends bytes and returns all that is answered until the other side closes.
func rawAnswer(t *testing.T, address string, request ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, part := range request {
		if _, err := io.WriteString(c, part); err != nil {
			t.Log(err) // the other side may have closed already
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		t.Fatal(err)
	}
	return string(b)
}

const post = "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

// A body is one body, however it is framed, and what follows is the next request.
func TestFraming(t *testing.T) {
	e := newRefusing(t)
	e.err = store.ErrFull // what gets as far as the store
	address := serveOn(t, e, Options{MaxBody: 100 << 10})
	event := func(size int) string {
		return `{"event":"x","data":"` + strings.Repeat("x", size-len(`{"event":"x","data":""}`)) + `"}`
	}
	const last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	for _, size := range []int{30, 8 << 10, 8<<10 + 1, 64 << 10, 100 << 10} {
		body := event(size)
		whole := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", post, size, body)
		chunked := fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", post, size-7, body[:size-7], 7, body[size-7:])
		for name, request := range map[string]string{"length": whole, "chunked": chunked} {
			answer := rawAnswer(t, address, request, request, last)
			if strings.Count(answer, "HTTP/1.1 507") != 2 || !strings.Contains(answer, `"status":"ok"`) {
				t.Errorf("%s of %d bytes: %s", name, size, answer)
			}
		}
	}
	size, much := 100<<10+1, politeness/2
	for name, request := range map[string]string{
		"length":  fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", post, size, event(size)),
		"chunked": fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", post, size, event(size)),
		// A client that reads only when it has sent all of it sees why, too.
		"length of much": fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", post, much, event(much)),
	} {
		// The connection ends: what comes after must not be read as a request.
		answer := rawAnswer(t, address, request, last)
		if !strings.Contains(answer, "HTTP/1.1 413") || !strings.Contains(answer, "Connection: close") || strings.Contains(answer, `"status":"ok"`) {
			t.Errorf("%s of what is too large: %s", name, answer)
		}
	}
	for name, request := range map[string]string{
		"no size": post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"no end":  post + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcdefgh",
	} {
		if answer := rawAnswer(t, address, request, last); !strings.Contains(answer, "HTTP/1.1 400") || strings.Contains(answer, `"status":"ok"`) {
			t.Errorf("%s: %s", name, answer)
		}
	}
	if n := e.tally.Counts(); len(n) != 3 {
		t.Errorf("counted %v", n)
	}
}

// answered reports whether a connection has something to read by now.
func answered(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, _ := c.Read(make([]byte, 1))
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// Bodies that are on their way hold what has arrived of them. Where that is too
// much, others are sent away, and taken again once there is room.
func TestShedding(t *testing.T) {
	e := newRefusing(t)
	e.err = store.ErrFull
	address := serveOn(t, e, Options{MaxBody: 1 << 20, Bodies: 1 << 20})
	const size = 900 << 10
	begin := func(arrived int) net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", post, size, strings.Repeat(" ", arrived)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	ask := func() int {
		body := `{"event":"x","data":"` + strings.Repeat("x", 200<<10) + `"}`
		res, err := http.Post("http://"+address+"/events", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == 503 && res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return res.StatusCode
	}
	// Those that only claim a body hold nothing.
	for range 50 {
		defer begin(0).Close()
	}
	if status := ask(); status != 507 {
		t.Fatalf("answered %d beside bodies that have not come", status)
	}
	held := begin(size - 1)
	await := func(want int) {
		for deadline := time.Now().Add(5 * time.Minute); ask() != want; {
			if time.Now().After(deadline) {
				t.Fatalf("never answered %d", want)
			}
			// While it arrived, it may have been the one that was sent away.
			if want == 503 && answered(t, held) {
				held.Close()
				held = begin(size - 1)
			}
		}
	}
	await(503)
	// A small one is taken all the same.
	if res, err := http.Post("http://"+address+"/events", "application/json", strings.NewReader(`{"event":"x","data":1}`)); err != nil || res.StatusCode != 507 {
		t.Errorf("a small event: %v, %v", res, err)
	} else {
		res.Body.Close()
	}
	if _, err := io.WriteString(held, " "); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(held).ReadString('\n'); err != nil || !strings.Contains(line, "400") { // spaces are no JSON
		t.Errorf("the one that took the room was answered %q, %v", line, err)
	}
	held.Close()
	await(507)
	busy := false
	for _, c := range e.tally.Counts() {
		busy = busy || c.Source == "events" && c.Reason == "busy"
	}
	if !busy {
		t.Errorf("counted %v", e.tally.Counts())
	}
}

// A reader that fails must not leave its error's text, or half a body, as an event.
func TestTakeBody(t *testing.T) {
	b := newBodies(100, 1000)
	for _, tt := range []struct {
		reader io.Reader
		length int
		body   string
		err    error
	}{
		{strings.NewReader("abc"), 3, "abc", nil},
		{strings.NewReader("abc"), -1, "abc", nil},
		{strings.NewReader(""), 0, "", nil},
		{strings.NewReader(strings.Repeat("x", 100)), 100, strings.Repeat("x", 100), nil},
		{strings.NewReader(strings.Repeat("x", 101)), 101, "", fiber.ErrRequestEntityTooLarge},
		{strings.NewReader(strings.Repeat("x", 101)), -1, "", fiber.ErrRequestEntityTooLarge},
		{io.MultiReader(strings.NewReader("ab"), broken{}), 3, "", io.ErrUnexpectedEOF},
	} {
		body, held, err := b.take(make([]byte, 0, 4), tt.reader, tt.length)
		if !errors.Is(err, tt.err) || err == nil && !bytes.Equal(body, []byte(tt.body)) {
			t.Errorf("%d: %q, %v, want %q, %v", tt.length, body, err, tt.body, tt.err)
		}
		b.held.Add(-held)
	}
	if n := b.held.Load(); n != 0 {
		t.Errorf("%d bytes are held", n)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func BenchmarkTakeBody(b *testing.B) {
	bodies := newBodies(1<<20, maxBodies)
	text := strings.Repeat("x", 1024)
	r := strings.NewReader(text)
	b.ReportAllocs()
	for b.Loop() {
		buffer := bodies.pool.Get().(*[]byte)
		r.Reset(text)
		body, held, err := bodies.take((*buffer)[:0], r, len(text))
		if err != nil || len(body) != len(text) || held != 0 {
			b.Fatal(err)
		}
		bodies.pool.Put(buffer)
	}
}
