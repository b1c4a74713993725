// Package dashboard is the router's own web page: server-rendered, with small
// modules for what is live, and nothing from elsewhere.
//
// It knows nothing that the HTTP API does not say: each page asks the API, in the
// same process and with the credentials of who looks at it. So what a page may
// show or do is decided in one place, and whatever it shows can be had by a
// command, too.
//
// Every page works without JavaScript. With it, pages keep themselves up to date
// by the stream at /api/stream.
package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/hashicorp/go-hclog"
	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/problem"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

// policy lets a page use only what this router serves
// (https://www.w3.org/TR/CSP3/).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Options of a dashboard.
type Options struct {
	// Ask answers a request as the router's API does.
	Ask    fasthttp.RequestHandler
	Logger hclog.Logger
	// Now is the clock of "3 minutes ago". Nil: time.Now.
	Now func() time.Time
	// Version is shown at the foot of each page.
	Version string
}

// Dashboard serves the pages. It is safe for concurrent use.
type Dashboard struct {
	ask     fasthttp.RequestHandler
	log     hclog.Logger
	now     func() time.Time
	version string
	pages   map[string]*template.Template
	assets  map[string]asset // by the name in links, which has a hash of the content
	names   map[string]string
}

type asset struct {
	contentType string
	content     []byte
}

// New returns a dashboard.
func New(o Options) (*Dashboard, error) {
	d := &Dashboard{
		ask: o.Ask, log: o.Logger, now: o.Now, version: o.Version,
		pages: map[string]*template.Template{}, assets: map[string]asset{}, names: map[string]string{},
	}
	if d.log == nil {
		d.log = hclog.NewNullLogger()
	}
	if d.now == nil {
		d.now = time.Now
	}
	files, err := fs.Glob(assetFiles, "assets/*")
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	for _, file := range files {
		content, err := assetFiles.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("dashboard: %w", err)
		}
		sum := sha256.Sum256(content)
		base := path.Base(file)
		ext := path.Ext(base)
		name := strings.TrimSuffix(base, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		d.assets[name] = asset{mime.TypeByExtension(ext), content}
		d.names[base] = "/ui/assets/" + name
	}
	pages, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	for _, file := range pages {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := template.New("layout.html").Funcs(d.functions()).ParseFS(pageFiles, "pages/layout.html", "pages/parts.html", file)
		if err != nil {
			return nil, fmt.Errorf("dashboard: %w", err)
		}
		d.pages[name] = t
	}
	return d, nil
}

// MountPublic adds what strangers may see: no page, only what pages are made of.
func (d *Dashboard) MountPublic(app fiber.Router) {
	app.Get("/ui/assets/:name", d.asset)
}

// SignIn answers with the page that asks for a token.
func (d *Dashboard) SignIn(c *fiber.Ctx, status int, message, next string) error {
	return d.render(c, status, &view{Page: "login", Title: "Sign in", Data: map[string]string{"Message": message, "Next": next}})
}

// Mount adds the pages to the router's application.
func (d *Dashboard) Mount(app fiber.Router) {
	app.Get("/", d.page(overview))
	app.Get("/ui/find", d.find)
	app.Get("/ui/events", d.page(events))
	app.Get("/ui/events/:id", d.page(oneEvent))
	app.Post("/ui/events/:id/replay", d.act(replayEvent))
	app.Get("/ui/deliveries", d.page(deliveries))
	app.Get("/ui/deliveries/:id", d.page(oneDelivery))
	app.Post("/ui/deliveries/:id/retry", d.act(retryDelivery))
	app.Get("/ui/dead-letters", d.page(deadLetters))
	app.Post("/ui/dead-letters/retry", d.moveDead("retry", "Sending dead letters again", "will be sent again"))
	app.Post("/ui/dead-letters/cancel", d.moveDead("cancel", "Cancelling dead letters", "cancelled"))
	app.Get("/ui/replays", d.page(replays))
	app.Post("/ui/replays", d.startReplay)
	app.Get("/ui/replays/:id", d.page(oneReplay))
	app.Post("/ui/replays/:id/cancel", d.act(cancelReplay))
	app.Get("/ui/destinations", d.page(destinations))
	app.Get("/ui/destinations/:name", d.page(oneDestination))
	app.Post("/ui/destinations/:name/pause", d.act(change("pause", "It is paused.")))
	app.Post("/ui/destinations/:name/resume", d.act(change("resume", "It goes on.")))
	app.Post("/ui/destinations/:name/cancel", d.cancelWaiting)
	app.Get("/ui/webhooks", d.page(webhooks))
	app.Post("/ui/webhooks", d.page(registerWebhook))
	app.Get("/ui/webhooks/:id", d.page(oneWebhook))
	app.Post("/ui/webhooks/:id/edit", d.act(editWebhook))
	app.Post("/ui/webhooks/:id/test", d.act(testWebhook))
	app.Post("/ui/webhooks/:id/rotate", d.page(rotateWebhook))
	app.Post("/ui/webhooks/:id/pause", d.act(changeWebhook("pause", "It is paused.")))
	app.Post("/ui/webhooks/:id/resume", d.act(changeWebhook("resume", "It goes on.")))
	app.Post("/ui/webhooks/:id/delete", d.act(deleteWebhook))
	app.Get("/ui/routes", d.page(routes))
	app.Get("/ui/plugins", d.page(plugins))
	app.Get("/ui/plugins/:name", d.page(onePlugin))
	app.Get("/ui/configuration", d.page(configuration))
	app.Get("/ui/*", d.page(func(v *visit) (*view, error) {
		return nil, problem.New(http.StatusNotFound, "not_found", "there is no page at %s", v.c.Path())
	}))
}

func (d *Dashboard) asset(c *fiber.Ctx) error {
	a, ok := d.assets[c.Params("name")]
	if !ok {
		return problem.New(http.StatusNotFound, "not_found", "there is nothing at %s", c.Path())
	}
	// The name changes with the content.
	c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
	c.Set(fiber.HeaderContentType, a.contentType)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	return c.Send(a.content)
}

// view is what a page shows.
type view struct {
	// Page names the template, Title the page, Section the part of the navigation.
	Page, Title, Section string
	// Live says which items of the stream make the page look again, as the query
	// of /api/stream; empty for none.
	Live string
	Data any
}

// page renders what show has found out. Where it fails, the page says why.
func (d *Dashboard) page(show func(*visit) (*view, error)) fiber.Handler {
	return func(c *fiber.Ctx) error {
		v := &visit{c: c, d: d}
		shown, err := show(v)
		var p *problem.Problem
		switch {
		case errors.As(err, &p) && p.Status == http.StatusUnauthorized:
			return err
		case err != nil:
			return d.refuse(c, err)
		}
		return d.render(c, http.StatusOK, shown)
	}
}

func (d *Dashboard) render(c *fiber.Ctx, status int, v *view) error {
	err := d.pages[v.Page].Execute(c.Response().BodyWriter(), map[string]any{
		"View": v, "Version": d.version, "Now": d.now().UTC(), "Done": c.Query("done"), "SignedIn": api.HasSession(c),
	})
	if err != nil {
		c.Response().ResetBody()
		return fmt.Errorf("render the page %s: %w", v.Page, err)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	c.Set(fiber.HeaderContentSecurityPolicy, policy)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "same-origin")
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Status(status)
	return nil
}

// refuse renders the page that shows a problem. Other errors are the server's to
// tell.
func (d *Dashboard) refuse(c *fiber.Ctx, err error) error {
	var p *problem.Problem
	if !errors.As(err, &p) {
		return err
	}
	return d.render(c, p.Status, &view{Page: "problem", Title: http.StatusText(p.Status), Data: p})
}

// act does what a form asks for, and leads back to where the form was.
func (d *Dashboard) act(do func(*visit) (done string, err error)) fiber.Handler {
	return func(c *fiber.Ctx) error {
		v := &visit{c: c, d: d}
		done, err := do(v)
		if err != nil {
			return d.refuse(c, err)
		}
		return leadBack(c, c.FormValue("back"), done)
	}
}

// leadBack leads to a page of this router, which says what was done.
func leadBack(c *fiber.Ctx, back, done string) error {
	u, err := url.Parse(api.OwnPath(back))
	if err != nil {
		u = &url.URL{Path: "/"}
	}
	q := u.Query()
	q.Set("done", done)
	u.RawQuery = q.Encode()
	return c.Redirect(u.String(), http.StatusSeeOther)
}

// visit is one request for a page.
type visit struct {
	c *fiber.Ctx
	d *Dashboard
}

// passed are the headers that say who asks.
var passed = []string{fiber.HeaderAuthorization, fiber.HeaderCookie, fiber.HeaderOrigin, "Sec-Fetch-Site"}

// call asks the API. The error is the problem that it answered with.
func (v *visit) call(method, path string, query url.Values, body, into any) error {
	var ctx fasthttp.RequestCtx
	var req fasthttp.Request
	req.Header.SetMethod(method)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	req.SetRequestURI(path)
	req.Header.SetHostBytes(v.c.Request().Host())
	for _, name := range passed {
		if value := v.c.Get(name); value != "" {
			req.Header.Set(name, value)
		}
	}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("ask %s: %w", path, err)
		}
		req.Header.SetContentType(fiber.MIMEApplicationJSON)
		req.SetBody(b)
	}
	ctx.Init(&req, v.c.Context().RemoteAddr(), nil)
	given := func() bool { return false }
	if into != nil {
		given = api.IntoHand(&ctx, into)
	}
	v.d.ask(&ctx)
	status, answer := ctx.Response.StatusCode(), ctx.Response.Body()
	if status >= 300 {
		return answeredProblem(path, status, answer)
	}
	if into == nil || given() {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("ask %s: %w", path, err)
	}
	return nil
}

// answeredProblem is the problem that the API answered with, all its members kept.
func answeredProblem(path string, status int, answer []byte) error {
	p := &problem.Problem{Status: status}
	err := json.Unmarshal(answer, &p.Extra)
	code, _ := p.Extra["code"].(string)
	if err != nil || code == "" {
		return fmt.Errorf("ask %s: the API answered %d", path, status)
	}
	p.Code = code
	p.Detail, _ = p.Extra["detail"].(string)
	return p
}

func (v *visit) get(path string, query url.Values, into any) error {
	return v.call(http.MethodGet, path, query, nil, into)
}

// param is a part of the path, as the API wants it in its own.
func (v *visit) param(name string) string {
	value, err := url.PathUnescape(v.c.Params(name))
	if err != nil {
		value = v.c.Params(name)
	}
	return url.PathEscape(value)
}

// query is a parameter of the page, without white space around it.
func (v *visit) query(name string) string { return strings.TrimSpace(strings.Clone(v.c.Query(name))) }

// filter passes on those of the page's parameters that the API knows by the same
// name and that are not empty.
func (v *visit) filter(names ...string) url.Values {
	q := url.Values{}
	for _, name := range names {
		if value := v.query(name); value != "" {
			q.Set(name, value)
		}
	}
	return q
}
