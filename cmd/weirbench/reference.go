package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// reference is the process of one reference. It runs until it is killed.
//
//   - R1 answers 202 and keeps nothing: the limit of HTTP.
//   - R2 appends to one file first, one flush for all that wait: the limit of
//     durable ingest.
//   - R3 hands the body to workers that post it: the limit of forwarding.
//   - R4 does as R2, then as R3: the limit of durable forwarding.
func reference(args []string) error {
	f := flag.NewFlagSet("reference", flag.ContinueOnError)
	address := f.String("address", "", "where to listen")
	file := f.String("file", "", "append each event to this file and flush it before the answer")
	to := f.String("to", "", "URLs to post each event to, separated by commas")
	workers := f.Int("workers", 64, "posts in flight for each URL")
	if err := f.Parse(args); err != nil {
		return err
	}
	var log *appender
	if *file != "" {
		var err error
		if log, err = newAppender(*file); err != nil {
			return err
		}
	}
	var forward *forwarder
	if *to != "" {
		forward = newForwarder(strings.Split(*to, ","), *workers)
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadBufferSize: 32 << 10})
	app.Post("/events", func(c *fiber.Ctx) error {
		if log != nil || forward != nil {
			// Fiber reuses its buffer when this returns.
			body := append([]byte(nil), c.Request().Body()...)
			if log != nil {
				if err := log.append(body); err != nil {
					return err
				}
			}
			if forward != nil {
				forward.send(body)
			}
		}
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.Status(fiber.StatusAccepted).SendString(`{"status":"accepted"}`)
	})
	return app.Listen(*address)
}

// recordHead is the length that stands before each record of an appender.
const recordHead = 4

// appender writes records to the end of a file. All that wait share one flush.
type appender struct {
	file  *os.File
	queue chan appending
}

type appending struct {
	body []byte
	done chan error
}

func newAppender(path string) (*appender, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	a := &appender{file: file, queue: make(chan appending, 4096)}
	go a.run()
	return a, nil
}

// append returns when body is on disk.
func (a *appender) append(body []byte) error {
	done := make(chan error, 1)
	a.queue <- appending{body, done}
	return <-done
}

func (a *appender) run() {
	var group []appending
	var buf []byte
	for first := range a.queue {
		group, buf = append(group[:0], first), buf[:0]
	gather:
		for {
			select {
			case next := <-a.queue:
				group = append(group, next)
			default:
				break gather
			}
		}
		for _, x := range group {
			buf = binary.LittleEndian.AppendUint32(buf, uint32(len(x.body)))
			buf = append(buf, x.body...)
		}
		_, err := a.file.Write(buf)
		if err == nil {
			err = a.file.Sync()
		}
		for _, x := range group {
			x.done <- err
		}
	}
}

// forwarder posts each body to every URL, by workers of that URL's own. A full
// queue holds the producer back.
type forwarder struct{ queues []chan []byte }

func newForwarder(urls []string, workers int) *forwarder {
	f := &forwarder{}
	for _, url := range urls {
		queue := make(chan []byte, 1024)
		client := &fasthttp.Client{MaxConnsPerHost: workers, MaxIdemponentCallAttempts: 1}
		for range workers {
			go func() {
				req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				req.Header.SetMethod(fasthttp.MethodPost)
				req.Header.SetContentType("application/json")
				req.SetRequestURI(url)
				for body := range queue {
					req.SetBodyRaw(body)
					if err := client.DoTimeout(req, res, 30*time.Second); err != nil || res.StatusCode() != fasthttp.StatusOK {
						// The bench finds what is missing; this says why.
						fmt.Fprintln(os.Stderr, "post:", err, res.StatusCode())
					}
				}
			}()
		}
		f.queues = append(f.queues, queue)
	}
	return f
}

func (f *forwarder) send(body []byte) {
	for _, queue := range f.queues {
		queue <- body
	}
}
