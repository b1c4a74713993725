package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/weirhq/weir/router"
	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/problem"
)

// client asks a router. While one runs it is asked over HTTP; when none runs,
// the same questions are answered from the store itself.
type client struct {
	do func(*http.Request) (*http.Response, error)
	// stream is do for an answer that does not end; nil while none runs.
	stream func(*http.Request) (*http.Response, error)
	base   string
	// at is where it is, for people: its URL or its socket.
	at    string
	close func() error
	// offline: no router runs, and the store answers.
	offline bool
}

// errNoRouter says that nothing answers where the configuration has its router.
var errNoRouter = errors.New("no router answers")

// connect finds the running router: --server, else the configuration's address,
// else its store.
func connect(ctx context.Context, g *globals) (*client, error) {
	c, client, err := connectRunning(ctx, g)
	if errors.Is(err, errNoRouter) {
		return offline(ctx, c)
	}
	return client, err
}

// connectRunning finds the running router, or gives errNoRouter and the configuration.
func connectRunning(ctx context.Context, g *globals) (*config.Config, *client, error) {
	if g.server != "" {
		return nil, remote(g.server, g.token), nil
	}
	c, report := g.load(config.Options{ToAsk: true})
	if report.HasErrors() {
		// A router that was started before goes on, and can say what it makes of it.
		if s := config.LoadServer(g.config, config.Options{ToAsk: true, Vars: g.variables()}); s != nil {
			c = &config.Config{Server: *s}
			if router := local(c, g.token); router.get(ctx, "/healthz", nil, &api.Health{}) == nil {
				return c, router, nil
			}
		}
		_ = report.Write(os.Stderr) // the error below says it too
		return nil, nil, fmt.Errorf("%s does not load, so there is no router to ask: mend it, or name one with --server", g.config)
	}
	router := local(c, g.token)
	err := router.get(ctx, "/healthz", nil, &api.Health{})
	switch {
	case err == nil:
		return c, router, nil
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist): // of a socket
		return c, nil, fmt.Errorf("%w at %s (%s)", errNoRouter, c.Server.AdminAddress(), addressName(c))
	}
	return nil, nil, fmt.Errorf("ask the router at %s: %w", router.at, err)
}

// addressName is the attribute that says where the API is.
func addressName(c *config.Config) string {
	if c.Server.Admin != "" {
		return "server.admin"
	}
	return "server.listen"
}

// offline answers from the store, by the same code that a router answers with.
func offline(ctx context.Context, c *config.Config) (*client, error) {
	if _, err := os.Stat(c.Store.Path); errors.Is(err, os.ErrNotExist) {
		path := c.Store.Path
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		return nil, fmt.Errorf("no router runs at %s, and there is no store at %s yet: start one with weir serve", c.Server.AdminAddress(), path)
	}
	r, err := router.New(ctx, c, router.Options{Inspect: true, CacheDir: cacheDir(c)})
	if err != nil {
		return nil, fmt.Errorf("no router runs at %s: %w", c.Server.AdminAddress(), err)
	}
	app := r.Handler()
	return &client{
		do:   func(req *http.Request) (*http.Response, error) { return app.Test(req, -1) },
		base: "http://localhost", at: c.Store.Path, offline: true,
		close: func() error { return r.Close(context.Background()) },
	}, nil
}

func (c *client) get(ctx context.Context, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.call(ctx, http.MethodGet, path, nil, into)
}

func (c *client) post(ctx context.Context, path string, body []byte, into any) error {
	return c.call(ctx, http.MethodPost, path, body, into)
}

func (c *client) call(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.do(req)
	if err != nil {
		return fmt.Errorf("no answer; is the router running? %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 256<<20))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode >= 300 {
		return answerError(res, answer)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s %s answered something that is not from a router: %w", method, c.at+path, err)
	}
	return nil
}

// refusal is a problem that the router answers with.
type refusal struct{ code, detail string }

func (r *refusal) Error() string { return r.detail + " (" + r.code + ")" }

// answerError is the problem that a router answered with.
func answerError(res *http.Response, answer []byte) error {
	if strings.HasPrefix(res.Header.Get("Content-Type"), problem.ContentType) {
		var p struct{ Code, Detail string }
		if err := json.Unmarshal(answer, &p); err == nil && p.Code != "" {
			return &refusal{code: p.Code, detail: p.Detail}
		}
	}
	return fmt.Errorf("the router answered %s", res.Status)
}
