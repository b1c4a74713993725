package main

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// receiver takes deliveries and writes them into a ledger. The path of a POST is
// the lane.
type receiver struct {
	base   string
	server *fasthttp.Server
	delay  atomic.Int64 // of every answer, in nanoseconds
	done   chan struct{}
}

// answer decides the status of an arrival. before counts the arrivals of the
// same delivery before it.
type answer func(lane string, number uint64, before int) int

func always(string, uint64, int) int { return fasthttp.StatusOK }

func startReceiver(l *ledger, decide answer) (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{base: "http://" + listener.Addr().String(), done: make(chan struct{})}
	r.server = &fasthttp.Server{
		NoDefaultServerHeader: true,
		MaxRequestBodySize:    32 << 20,
		Logger:                silent{}, // connections end when a router is killed
		Handler: func(ctx *fasthttp.RequestCtx) {
			lane := strings.TrimPrefix(string(ctx.Path()), "/")
			l.arrived(lane, string(ctx.Request.Header.Peek("webhook-id")), ctx.Request.Body(), func(number uint64, before int) bool {
				status := decide(lane, number, before)
				ctx.SetStatusCode(status)
				return status/100 == 2
			})
			time.Sleep(time.Duration(r.delay.Load()))
		},
	}
	go func() {
		defer close(r.done)
		_ = r.server.Serve(listener) // it ends by stop only
	}()
	return r, nil
}

func (r *receiver) stop() {
	_ = r.server.Shutdown() // connections of routers that are gone may be left
	<-r.done
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// destination is the block of a lane at this receiver. The schedule is patient:
// nothing may die while the router is being started again.
func (r *receiver) destination(lane string, more ...string) string {
	return fmt.Sprintf("destination %q {\n  url = \"%s/%s\"\n  timeout = \"5s\"\n  retry {\n    schedule = [\"0s\", \"100ms\", \"200ms\", \"500ms\", \"1s\", \"1s\", \"2s\", \"2s\", \"5s\", \"5s\", \"10s\", \"10s\"]\n  }\n  %s\n}\n",
		lane, r.base, lane, strings.Join(more, "\n  "))
}

// route is a block that sends one type of events.
func route(name, kind string, lanes []string, more ...string) string {
	to := make([]string, len(lanes))
	for i, lane := range lanes {
		to[i] = "destination." + lane
	}
	return fmt.Sprintf("route %q {\n  events = [%q]\n  to = [%s]\n  %s\n}\n", name, kind, strings.Join(to, ", "), strings.Join(more, "\n  "))
}
