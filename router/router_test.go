package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
)

func parse(t *testing.T, dir, hcl string) *config.Config {
	t.Helper()
	c, report := config.Parse("router.hcl", []byte(hcl), config.Options{Dir: dir})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func start(t *testing.T, dir, hcl string, o Options) *Router {
	t.Helper()
	r, err := New(context.Background(), parse(t, dir, hcl), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, r) })
	return r
}

func shut(t *testing.T, r *Router) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

// safeBuffer is where destinations and logs of a test write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func publish(t *testing.T, r *Router, eventType, id string) Receipt {
	t.Helper()
	receipt, err := r.Publish(context.Background(), Event{Type: eventType, ID: id, Data: []byte(`{"n":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

const toStdout = `
destination "out" {
  url = "stdout:"
}
route "all" {
  to = [destination.out]
}
`

func TestPublish(t *testing.T) {
	var out safeBuffer
	r := start(t, t.TempDir(), toStdout, Options{Stdout: &out})
	first := publish(t, r, "order.paid", "order-1")
	if again := publish(t, r, "order.paid", "order-1"); !again.Duplicate || again.EventID != first.EventID || first.Duplicate {
		t.Errorf("first %+v, then %+v", first, again)
	}
	await(t, "the delivery", func() bool { return strings.Contains(out.String(), `"event_id":"order-1"`) })
	for _, e := range []Event{
		{Data: []byte(`1`)},
		{Type: "x", Data: []byte(`{`)},
		{Type: "x"},
		{Type: "weir.x", Data: []byte(`1`)},
		{Type: "x", ID: "a b", Data: []byte(`1`)},
		{Type: "x\n", Data: []byte(`1`)},
	} {
		var p *problem.Problem
		if _, err := r.Publish(context.Background(), e); !errors.As(err, &p) {
			t.Errorf("%+v was answered with %v, want a problem", e, err)
		}
	}
	shut(t, r)
	if _, err := r.Publish(context.Background(), Event{Type: "x", Data: []byte(`1`)}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if n := strings.Count(out.String(), "order-1"); n != 1 {
		t.Errorf("delivered %d times:\n%s", n, out.String())
	}
}

// A program that embeds a router publishes as itself: verify is for strangers.
func TestPublishPassesVerify(t *testing.T) {
	r := start(t, t.TempDir(), `
source "events" {
  verify "hmac" {
    header  = "x-signature"
    secrets = ["a secret of the events source"]
  }
}
`, Options{})
	publish(t, r, "x", "")
}

func TestNewFails(t *testing.T) {
	dir := t.TempDir()
	module := filepath.Join(dir, "bad.wasm")
	if err := os.WriteFile(module, []byte("\x00asm\x01\x00\x00\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for name, c := range map[string]struct{ hcl, want string }{
		"a plugin that is none":    {"plugin \"p\" {\n  wasm = \"bad.wasm\"\n}\n", "plugin p (" + module + ")"},
		"a store that is no store": {fmt.Sprintf("store \"badger\" {\n  path = %q\n}\n", file), file},
	} {
		if r, err := New(context.Background(), parse(t, dir, c.hcl), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want an error that names %q", name, r, err, c.want)
		}
	}
	// What a failed New has opened is closed again.
	r := start(t, dir, "", Options{})
	shut(t, r)
	await(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	var out safeBuffer
	r := start(t, t.TempDir(), toStdout, Options{Stdout: &out})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if r.Ready() == nil {
		t.Error("ready without a listener")
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	await(t, "it to be ready", func() bool {
		res, err := client.Get("http://" + l.Addr().String() + "/readyz")
		if err != nil {
			return false
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	for range 20 {
		publish(t, r, "x", "")
	}
	shut(t, r)
	shut(t, r) // again does nothing
	if err := <-served; err != nil {
		t.Errorf("Serve gave %v", err)
	}
	if r.Ready() == nil {
		t.Error("ready after Close")
	}
	if err := r.Serve(l); err == nil {
		t.Error("a closed router serves")
	}
	await(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// A destination that is gone keeps its lane: nothing is sent, the operator is
// told, and it goes on when the name returns.
func TestOrphans(t *testing.T) {
	dir := t.TempDir()
	const refused = `
destination "old" {
  url = "http://127.0.0.1:1/"
}
route "all" {
  to = [destination.old]
}
`
	r := start(t, dir, refused, Options{})
	publish(t, r, "x", "orphan-1")
	waiting := func(r *Router) uint64 {
		l, err := r.store.Lane(context.Background(), "old")
		if err != nil {
			t.Fatal(err)
		}
		return l.Counts.Retrying + l.Counts.Waiting
	}
	await(t, "it to wait", func() bool { return waiting(r) == 1 })
	shut(t, r)

	var log safeBuffer
	r = start(t, dir, "", Options{Logger: hclog.New(&hclog.LoggerOptions{Output: &log})})
	if !strings.Contains(log.String(), "destination=old") || !strings.Contains(log.String(), "waiting=1") {
		t.Errorf("the log does not tell of it:\n%s", log.String())
	}
	if waiting(r) != 1 {
		t.Error("what waited is gone")
	}
	shut(t, r)

	var out safeBuffer
	r = start(t, dir, strings.ReplaceAll(refused, "http://127.0.0.1:1/", "stdout:"), Options{Stdout: &out})
	list, _, err := r.store.ListDeliveries(context.Background(), store.DeliveryQuery{Destination: "old", Page: store.Page{Limit: 10}})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if list[0].State == store.Retrying { // due in a minute
		if _, err := (engine{r}).RetryDelivery(context.Background(), list[0].Ref); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "it to go on", func() bool { return strings.Contains(out.String(), "orphan-1") })
}

// A router that is open for questions routes nothing and sends nothing.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	var out safeBuffer
	r := start(t, dir, toStdout, Options{Stdout: &out, Inspect: true})
	publish(t, r, "x", "later")
	if r.Ready() == nil {
		t.Error("it says that it is ready")
	}
	shut(t, r)
	if out.String() != "" {
		t.Errorf("sent %s", out.String())
	}
	r = start(t, dir, toStdout, Options{Stdout: &out})
	await(t, "the next router to send it", func() bool { return strings.Contains(out.String(), "later") })
}

// lateListener is a listener whose server begins only after the router was told
// to close.
type lateListener struct {
	net.Listener
	asked, release chan struct{}
}

func (l *lateListener) Addr() net.Addr {
	select {
	case <-l.asked:
	default:
		close(l.asked)
		<-l.release
	}
	return l.Listener.Addr()
}

// A stop right after the start must not wait for a server that begins late.
func TestCloseBeforeTheServerHasBegun(t *testing.T) {
	r := start(t, t.TempDir(), "", Options{})
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &lateListener{Listener: inner, asked: make(chan struct{}), release: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	<-l.asked
	closed := make(chan error, 2)
	for range 2 {
		go func() { closed <- r.Close(context.Background()) }()
	}
	await(t, "the listener to be closed", func() bool {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(l.release)
	for range 2 {
		if err := <-closed; err != nil {
			t.Errorf("Close gave %v", err)
		}
	}
	if err := <-served; err != nil {
		t.Errorf("Serve gave %v", err)
	}
}

// A delivery's bytes are fixed when its event is routed: a retry under another
// configuration sends the same, with the same webhook-id.
func TestBytesOutliveTheirConfiguration(t *testing.T) {
	type arrival struct{ id, body string }
	var mu sync.Mutex
	var got []arrival
	accept := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, arrival{r.Header.Get("webhook-id"), string(body)})
		if !accept {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	arrivals := func() []arrival {
		mu.Lock()
		defer mu.Unlock()
		return append([]arrival(nil), got...)
	}
	dir := t.TempDir()
	hcl := fmt.Sprintf("destination \"crm\" {\n  url = %q\n  format = \"raw\"\n}\nroute \"all\" {\n  to = [destination.crm]\n}\n", server.URL)
	r := start(t, dir, hcl, Options{})
	publish(t, r, "order.paid", "order-1")
	retrying := func(r *Router) []*store.DeliveryStatus {
		list, _, err := r.store.ListDeliveries(context.Background(), store.DeliveryQuery{State: store.Retrying, Page: store.Page{Limit: 10}})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	await(t, "the first attempt to be recorded", func() bool { return len(retrying(r)) == 1 })
	shut(t, r)

	mu.Lock()
	accept = true
	mu.Unlock()
	r = start(t, dir, strings.Replace(hcl, "raw", "envelope", 1), Options{})
	if _, err := (engine{r}).RetryDelivery(context.Background(), retrying(r)[0].Ref); err != nil {
		t.Fatal(err)
	}
	await(t, "the second attempt", func() bool { return len(arrivals()) == 2 })
	if a := arrivals(); a[0] != a[1] || a[0].body != `{"n":1}` || a[0].id == "" {
		t.Errorf("first %+v, then %+v", a[0], a[1])
	}
	publish(t, r, "order.paid", "order-2")
	await(t, "a new event in the new format", func() bool {
		a := arrivals()
		return len(a) == 3 && strings.HasPrefix(a[2].body, `{"event_id":"order-2"`)
	})
}

// Configurations are swapped while events are published, routed and delivered;
// each event is routed whole by one of them.
func TestReloadWhilePublishing(t *testing.T) {
	dir := t.TempDir()
	var out safeBuffer
	both := strings.ReplaceAll(toStdout, "[destination.out]", "[destination.out, destination.more]") + "destination \"more\" {\n  url = \"stdout:\"\n}\n"
	r := start(t, dir, toStdout, Options{Stdout: &out})
	stop := make(chan struct{})
	var publishers sync.WaitGroup
	var mu sync.Mutex
	var ids []string
	for range 3 {
		publishers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				receipt, err := r.Publish(context.Background(), Event{Type: "x", Data: []byte(`1`)})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ids = append(ids, receipt.EventID)
				mu.Unlock()
			}
		})
	}
	// Each configuration routes some events before the next one comes.
	some := func() {
		t.Helper()
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(ids)
		}
		before := count()
		await(t, "some events", func() bool { return count() >= before+6 || t.Failed() })
		last := r.store.Last()
		await(t, "them to be routed", func() bool { return r.store.Progress() >= last })
	}
	for i := range 20 {
		some()
		hcl := toStdout
		if i%2 == 0 {
			hcl = both
		}
		if _, err := r.Reload(context.Background(), parse(t, dir, hcl), true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Reload(context.Background(), parse(t, dir, both), true); err != nil {
		t.Fatal(err)
	}
	some()
	close(stop)
	publishers.Wait()
	last := r.store.Last()
	await(t, "everything to be routed", func() bool { return r.store.Progress() == last })
	expected := map[uint64]uint64{}
	for p := uint64(1); p <= last; p++ {
		routing, err := r.store.Routing(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(len(routing.Deliveries))
		if n != 1 && n != 2 {
			t.Errorf("the event at %d led to %d deliveries", p, n)
		}
		expected[n]++
	}
	if len(ids) != int(last) || expected[1] == 0 || expected[2] == 0 {
		t.Errorf("%d published, %d stored, %v by number of deliveries", len(ids), last, expected)
	}
	for name, want := range map[string]uint64{"out": last, "more": expected[2]} {
		await(t, name+" to be delivered", func() bool {
			l, err := r.store.Lane(context.Background(), name)
			return err == nil && l.Counts == (store.Counts{Delivered: want})
		})
	}
}

func TestReloadAfterClose(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, toStdout, Options{})
	shut(t, r)
	if _, err := r.Reload(context.Background(), parse(t, dir, ""), true); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a closed router was reloaded: %v", err)
	}
}
