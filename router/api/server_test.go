package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/store"
)

// refusing is an engine whose store refuses everything with one error.
type refusing struct {
	Engine
	source *source.Source
	tally  source.Tally
	err    error
	keys   *Keys
	ready  error
}

func (*refusing) Traces() bool           { return false }
func (*refusing) Opened() bool           { return true }
func (r *refusing) Tally() *source.Tally { return &r.tally }

func (r *refusing) Source(path string) *source.Source {
	if path == "/events" {
		return r.source
	}
	return nil
}
func (r *refusing) Accept(context.Context, *source.Source, source.Taken) ([]store.Accepted, error) {
	return nil, r.err
}
func (r *refusing) Keys() *Keys  { return r.keys }
func (r *refusing) Ready() error { return r.ready }
func (r *refusing) RetryDelivery(context.Context, store.Ref) (*store.DeliveryStatus, error) {
	return nil, r.err
}

func newRefusing(t *testing.T) *refusing {
	t.Helper()
	c, report := config.Parse("router.hcl", nil, config.Options{Dir: t.TempDir()})
	if report.HasErrors() {
		t.Fatal(report.Err())
	}
	return &refusing{source: newSource(t, c)}
}

func newSource(t *testing.T, c *config.Config) *source.Source {
	t.Helper()
	s, err := source.New(c.Source("events"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(t *testing.T, e Engine, path, body string) (*http.Response, map[string]any) {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "http://localhost"+path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := New(e, Options{MaxBody: 1 << 20}).Test(req, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer := map[string]any{}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return res, answer
}

// A store that refuses must never look like one that accepted, and a producer
// must know whether to try again.
func TestStoreRefuses(t *testing.T) {
	e := newRefusing(t)
	for _, c := range []struct {
		err    error
		status int
		code   string
		again  string
	}{
		{store.ErrFull, 507, "disk_full", ""},
		{store.ErrBusy, 503, "busy", "1"},
		{store.ErrClosed, 503, "stopping", "5"},
		{store.ErrTooLarge, 413, "body_too_large", ""},
		{errors.New("msync: input/output error"), 503, "store_failed", "5"},
		{context.Canceled, 503, "store_failed", "5"},
	} {
		e.err = fmt.Errorf("commit: %w", c.err)
		res, answer := ask(t, e, "/events", `{"event":"x","data":1}`)
		if res.StatusCode != c.status || answer["code"] != c.code || res.Header.Get("Retry-After") != c.again {
			t.Errorf("%v was answered %d %v, Retry-After %q", c.err, res.StatusCode, answer, res.Header.Get("Retry-After"))
		}
		if res.Header.Get("Content-Type") != problem.ContentType {
			t.Errorf("%v: content type %q", c.err, res.Header.Get("Content-Type"))
		}
		if strings.Contains(fmt.Sprint(answer), "msync") {
			t.Errorf("the answer shows the inside: %v", answer)
		}
	}
}

func TestRetryRefusals(t *testing.T) {
	e := newRefusing(t)
	path := "/api/deliveries/" + store.Ref{Position: 1}.String() + "/retry"
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{store.ErrNotFound, 404, "delivery_not_found"},
		{lane.ErrSending, 409, "sending"},
		{store.ErrOutOfOrder, 409, "state_changed"},
		{problem.New(409, "not_tried", "it waits"), 409, "not_tried"},
	} {
		e.err = c.err
		if res, answer := ask(t, e, path, ""); res.StatusCode != c.status || answer["code"] != c.code {
			t.Errorf("%v was answered %d %v", c.err, res.StatusCode, answer)
		}
	}
}

func TestLoopbackHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:80": true, "127.0.0.1": true, "127.9.9.9:1": true, "[::1]": true, "[::1]:80": true, "::1": true,
		"[::ffff:127.0.0.1]:80": true,
		"":                      false, "localhost.": false, "example.com": false, "127.0.0.1.example.com": false, "0.0.0.0": false, "10.0.0.1": false,
		"[fe80::1]": false, "localhost@evil.example": false, "2130706433": false,
	} {
		if got := loopbackHost(host); got != want {
			t.Errorf("loopbackHost(%q) = %v", host, got)
		}
	}
}

// max_body is exact, though a little more is read so that the client sees why.
func TestMaxBody(t *testing.T) {
	e := newRefusing(t)
	e.err = store.ErrFull // what gets as far as the store
	const empty = `{"event":"x","data":""}`
	for size, want := range map[int]int{1 << 20: 507, 1<<20 + 1: 413, 1<<20 + 100<<10: 413} {
		body := strings.Replace(empty, `""`, `"`+strings.Repeat("x", size-len(empty))+`"`, 1)
		res, answer := ask(t, e, "/events", body)
		if len(body) != size || res.StatusCode != want {
			t.Errorf("%d bytes were answered %d %v, want %d", len(body), res.StatusCode, answer["code"], want)
		}
	}
}
