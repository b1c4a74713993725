package attempt

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// BenchmarkSend is a signed POST of 1 KiB over a kept connection. The time is
// that of sender, receiver and kernel together.
func BenchmarkSend(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &fasthttp.Server{Handler: func(c *fasthttp.RequestCtx) { c.SetBodyString("ok") }, ReadTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	b.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			b.Error(err)
		}
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	c := destination(b, "http://"+listener.Addr().String()+"/hooks")
	c.Secret, c.Concurrency = secret, 64
	s := open(b, c)
	body := bytes.Repeat([]byte("x"), 1<<10)
	send := func() {
		d := delivery()
		d.Body = body
		if o := s.Send(b.Context(), d); !o.OK {
			b.Errorf("outcome is %+v", o)
		}
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			send()
		}
	})
	b.Run("many", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				send()
			}
		})
	})
}
