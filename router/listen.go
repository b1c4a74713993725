package router

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/dashboard"
)

// sidecarConnections is how many a router with small limits keeps open.
const sidecarConnections = 256

// sidecarBodies is how many bytes of requests it holds at a time.
const sidecarBodies = 16 << 20

// door is one address with what is answered there.
type door struct {
	app *fiber.App
	// answer is app, for pages that ask it.
	answer   fasthttp.RequestHandler
	listener net.Listener
}

// close stops the server; connections in use may finish until ctx ends.
func (d *door) close(ctx context.Context) error {
	var errs []error
	if d.app != nil {
		if err := d.app.ShutdownWithContext(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop the HTTP server: %w", err))
		}
	}
	if d.listener != nil {
		// The server knows its listener only once it serves.
		if err := d.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close the listener: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Listen opens an address of the form that server.listen has. A socket that no
// process answers any more is replaced; the others of its group may use a new one.
func Listen(address string) (net.Listener, error) {
	path, socket := config.SocketPath(address)
	if !socket {
		return net.Listen("tcp", address)
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && deserted(path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// deserted says whether a file is a socket that a process has left behind.
func deserted(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close() // somebody answers; nothing was said
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Handler is the HTTP side, for a server of the caller's. Where the configuration
// has server.admin, it is what sources take, and [Router.AdminHandler] the rest.
func (r *Router) Handler() *fiber.App {
	part := api.Whole
	if r.config.Server.Admin != "" && !r.inspect {
		part = api.IngestOnly
	}
	return r.handler(&r.front, part)
}

// AdminHandler is everything but ingest, for a server of the caller's.
func (r *Router) AdminHandler() *fiber.App { return r.handler(&r.back, api.AdminOnly) }

func (r *Router) handler(d *door, part api.Part) *fiber.App {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.app == nil {
		server := &r.config.Server
		o := api.Options{
			Part: part, MaxBody: int(server.MaxBody), AnyHost: server.Insecure && server.Exposed(), Logger: r.log.Named("http"),
		}
		if server.Sidecar {
			o.Connections, o.Bodies = sidecarConnections, sidecarBodies
		}
		if part != api.IngestOnly {
			pages, err := dashboard.New(dashboard.Options{
				Ask: func(c *fasthttp.RequestCtx) { d.answer(c) }, Logger: r.log.Named("dashboard"),
			})
			if err != nil {
				r.log.Error("there is no dashboard", "error", err)
			} else {
				o.Pages = pages
			}
		}
		d.app = api.New(engine{r}, o)
		d.answer = d.app.Handler()
	}
	return d.app
}

// Serve answers HTTP on l until Close, and then returns nil: what [Router.Handler]
// has, by TLS where the configuration has a certificate and l is no socket of this
// machine. It can be called once.
func (r *Router) Serve(l net.Listener) error { return r.serve(&r.front, r.Handler(), l) }

// ServeAdmin is Serve for [Router.AdminHandler].
func (r *Router) ServeAdmin(l net.Listener) error { return r.serve(&r.back, r.AdminHandler(), l) }

func (r *Router) serve(d *door, app *fiber.App, l net.Listener) error {
	l = patient{l}
	if r.config.Server.TLS != nil && l.Addr().Network() != "unix" {
		l = tls.NewListener(l, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: r.certificate,
		})
	}
	r.mu.Lock()
	if r.closed || d.listener != nil {
		r.mu.Unlock()
		return errors.Join(errors.New("the router is closed, or serves already"), l.Close())
	}
	d.listener = l
	r.owned.Add(1)
	r.mu.Unlock()
	defer r.owned.Done()
	err := app.Listener(l)
	if errors.Is(err, net.ErrClosed) {
		return nil // Close came before the server had begun
	}
	return err
}

// certificate is that of the configuration that runs now.
func (r *Router) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s := r.setup.Load(); s != nil && s.config.Server.TLS != nil && s.config.Server.TLS.Pair != nil {
		return s.config.Server.TLS.Pair, nil
	}
	return r.config.Server.TLS.Pair, nil // a reload that took tls away needs a restart
}
