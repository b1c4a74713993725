package api

import (
	"bufio"
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/hashicorp/go-hclog"
	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/store"
)

// faulty panics where an event is taken, or where its store is asked.
type faulty struct{ *taking }

func (e faulty) Accept(context.Context, *source.Source, source.Taken) ([]store.Accepted, error) {
	panic("no event can be taken")
}

func (e faulty) Store() store.Store { panic("nothing can be looked up") }

// faultyPages are pages one of which was about to say that all is well.
type faultyPages struct{}

func (faultyPages) MountPublic(fiber.Router)                     {}
func (faultyPages) SignIn(*fiber.Ctx, int, string, string) error { return nil }
func (faultyPages) Mount(app fiber.Router) {
	app.Get("/", func(c *fiber.Ctx) error {
		_ = c.Status(202).SendString("accepted")
		var none []string
		return c.SendString(none[len(c.Path())])
	})
}

// A panic in a handler is 500, whichever way the request takes, and never an answer that
// says that something was taken. The router goes on.
func TestPanicIsAnswered(t *testing.T) {
	took, _, _ := ways(t, nil)
	e := faulty{took}
	var log bytes.Buffer
	app := New(e, Options{MaxBody: 1 << 20, Pages: faultyPages{}, Logger: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug})})
	app.Handler()
	const head = " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	const body = "Content-Length: 28\r\n\r\n" + `{"event":"a","data":{"k":1}}`
	for _, c := range []struct{ name, request, where string }{
		{"an event", "POST /events" + head + body, "no event can be taken"},
		{"an event, by Fiber's way", "POST /events?" + head + body, "no event can be taken"},
		{"a list", "GET /api/events" + head + "\r\n", "nothing can be looked up"},
		{"a page", "GET /" + head + "\r\n", "faultyPages"},
	} {
		log.Reset()
		for range 2 { // and it is answered again
			got := through(took, app.Server().Handler, wire(t, c.request))
			if !strings.HasPrefix(got, "500 close true\n") || !strings.Contains(got, `"code":"internal_error"`) || strings.Contains(got, "accepted") {
				t.Errorf("%s is answered\n%s", c.name, got)
			}
			told := 1
			if strings.HasPrefix(c.request, "POST") {
				told++ // it is counted as refused
			}
			if n := strings.Count(got, "internal_error"); n != told {
				t.Errorf("%s says so %d times:\n%s", c.name, n, got)
			}
		}
		if text := log.String(); !strings.Contains(text, c.where) || !strings.Contains(text, "recover_test.go") || strings.Count(text, "[ERROR]") != 2 {
			t.Errorf("%s is logged as\n%s", c.name, text)
		}
	}
}

// What writes an answer by and by ends it.
func TestPanicEndsAStream(t *testing.T) {
	var log bytes.Buffer
	s := &server{log: hclog.New(&hclog.LoggerOptions{Output: &log})}
	var ctx fasthttp.RequestCtx
	ctx.SetBodyStreamWriter(s.guardedWriter("/api/stream", func(w *bufio.Writer) {
		_, _ = w.WriteString("so far\n")
		panic("and no further")
	}))
	if b := ctx.Response.Body(); string(b) != "so far\n" || !strings.Contains(log.String(), "and no further") {
		t.Errorf("%q, logged %s", b, log.String())
	}
}
