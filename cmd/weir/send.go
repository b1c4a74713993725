package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
	"github.com/weirhq/weir/router/source/verify"
)

const (
	defaultServer = "http://127.0.0.1:8080"
	sendTimeout   = 30 * time.Second
	maxAnswer     = 1 << 20
)

// send holds the flags of the command.
type send struct {
	source, typ, data, id, subject, tenant, sign, secret string
	headers                                              []string
}

func newSend(g *globals) *cobra.Command {
	var s send
	c := &cobra.Command{
		Use:   "send",
		Short: "Send an event as a producer or a provider would",
		Long: `Send an event as a producer or a provider would.

Without --source it goes to POST /events in Weir's own envelope. With --source
it goes to that source as its provider would send it: data is the whole body,
signed as the source's verify block says. The address, paths and secrets come
from the configuration unless flags give them.`,
		Example: `  weir send --type order.created --data '{"total": 120}'
  weir send --source github --type push --data @push.json
  weir send --source payments --sign stripe --secret whsec_... --data @invoice.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd, g) },
	}
	f := c.Flags()
	f.StringVar(&s.source, "source", "", "source to send to; without it, POST /events")
	f.StringVar(&s.typ, "type", "", `type of the event (default "test"; github: "ping"); also for shopify and gitlab`)
	f.StringVar(&s.data, "data", "{}", "data: JSON, `@file`, or - for standard input")
	f.StringVar(&s.id, "id", "", "id of the event, or of the provider's delivery")
	f.StringVar(&s.subject, "subject", "", "subject of the event")
	f.StringVar(&s.tenant, "tenant", "", "tenant of the event")
	f.StringVar(&s.sign, "sign", "", "sign as this provider: "+strings.Join(verify.Kinds(), ", ")+" (default: what the source's verify block says)")
	f.StringVar(&s.secret, "secret", "", "secret to sign with (default: the first one of the source; basic: user:password; sendgrid: a private key)")
	f.StringArrayVar(&s.headers, "header", nil, "one more header, as `name=value`; may be repeated")
	return c
}

func (s *send) run(cmd *cobra.Command, g *globals) error {
	data, err := readData(cmd.InOrStdin(), s.data)
	if err != nil {
		return err
	}
	cfg, cfgErr := loadForSend(g)
	request, err := s.request(cfg, cfgErr, data)
	if err != nil {
		return err
	}
	router := remote(defaultServer, g.token)
	switch {
	case g.server != "":
		router = remote(g.server, g.token)
	case cfgErr != nil:
		return fmt.Errorf("the address is in the configuration, which can't be read; give --server, or mend it: %w", cfgErr)
	case cfg != nil:
		router = entrance(cfg, g.token)
	}
	return request.post(cmd, g, router)
}

// loadForSend returns neither a configuration nor an error where there is no
// file: an event can be sent without one.
func loadForSend(g *globals) (*config.Config, error) {
	if _, err := os.Stat(g.config); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	cfg, report := g.load(config.Options{})
	if err := report.Err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

func readData(stdin io.Reader, data string) ([]byte, error) {
	switch {
	case data == "-", data == "@-":
		b, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return b, nil
	case strings.HasPrefix(data, "@"):
		b, err := os.ReadFile(data[1:])
		if err != nil {
			return nil, fmt.Errorf("read --data: %w", err)
		}
		return b, nil
	}
	return []byte(data), nil
}

// outgoing is a request that only lacks the server's address.
type outgoing struct {
	path   string
	body   []byte
	header []event.Field
}

func usage(format string, args ...any) error {
	return &exitError{code: 2, err: fmt.Errorf(format, args...)}
}

// request builds what is sent. cfg may be nil, cfgErr says why where it should
// not be.
func (s *send) request(cfg *config.Config, cfgErr error, data []byte) (*outgoing, error) {
	extra, err := parseHeaders(s.headers)
	if err != nil {
		return nil, err
	}
	r := &outgoing{path: "/events"}
	block := &config.Source{Name: "events", Format: config.SourceNative}
	if s.source != "" {
		r.path = "/in/" + s.source
		block = &config.Source{Name: s.source, Format: config.SourceRaw}
		if s.source == "events" {
			block.Format = config.SourceNative
		}
	}
	if cfg != nil {
		if found := cfg.Source(block.Name); found != nil {
			block = found
			if s.source != "" {
				r.path = found.Path
			}
		} else if s.source != "" {
			return nil, fmt.Errorf("the configuration has no source %q", s.source)
		}
	}
	kind := s.sign
	if kind == "" {
		kind = block.Verify.Kind
	}
	switch {
	case block.Format == config.SourceNative:
		err = s.native(r, data)
	default:
		err = s.provider(r, kind, data)
	}
	if err != nil {
		return nil, err
	}
	if err := s.prove(r, block, kind, cfgErr); err != nil {
		return nil, err
	}
	r.header = append(r.header, extra...)
	return r, nil
}

// native puts data into the envelope.
func (s *send) native(r *outgoing, data []byte) error {
	if err := rawjson.Valid(data); err != nil {
		return usage("--data is not JSON: %w", err)
	}
	typ := s.typ
	if typ == "" {
		typ = "test"
	}
	b := append([]byte(nil), `{"event":`...)
	b = rawjson.AppendString(b, typ)
	for _, m := range []struct{ name, value string }{{"event_id", s.id}, {"subject", s.subject}, {"tenant", s.tenant}} {
		if m.value != "" {
			b = append(b, `,"`+m.name+`":`...)
			b = rawjson.AppendString(b, m.value)
		}
	}
	b = append(b, `,"data":`...)
	b = append(b, bytes.TrimSpace(data)...)
	r.body = append(b, '}')
	r.header = []event.Field{{Name: "content-type", Value: "application/json"}}
	return nil
}

// providers are the headers in which a provider says what an event is.
var providers = map[string]struct{ typ, id, agent, defaultType string }{
	"github":   {"x-github-event", "x-github-delivery", "GitHub-Hookshot/weir", "ping"},
	"gitlab":   {"x-gitlab-event", "x-gitlab-event-uuid", "GitLab/weir", "Push Hook"},
	"shopify":  {"x-shopify-topic", "x-shopify-event-id", "Shopify-Captain-Hook", "orders/create"},
	"standard": {"", "webhook-id", "", ""},
}

// provider sends data as it is, with the headers that the provider adds.
func (s *send) provider(r *outgoing, kind string, data []byte) error {
	r.body = data
	contentType := "text/plain; charset=utf-8"
	switch {
	case rawjson.Valid(data) == nil:
		contentType = "application/json"
	case slices.Contains([]string{"twilio", "slack", "mailgun"}, kind):
		contentType = "application/x-www-form-urlencoded"
	}
	r.header = []event.Field{{Name: "content-type", Value: contentType}}
	p := providers[kind]
	if p.typ == "" && s.typ != "" {
		return usage("this source finds the type in the request: give it by --header or in --data")
	}
	if p.id == "" && s.id != "" {
		return usage("this source finds the id in the request: give it by --header or in --data")
	}
	if s.subject != "" {
		return usage("this source finds the subject in the request: give it by --header or in --data")
	}
	if s.tenant != "" {
		return usage("this source finds the tenant in the request: give it by --header or in --data")
	}
	if p.agent != "" {
		r.header = append(r.header, event.Field{Name: "user-agent", Value: p.agent})
	}
	if p.typ != "" {
		r.header = append(r.header, event.Field{Name: p.typ, Value: cmp.Or(s.typ, p.defaultType)})
	}
	if p.id != "" {
		r.header = append(r.header, event.Field{Name: p.id, Value: cmp.Or(s.id, uuid.NewString())})
	}
	return nil
}

// prove signs as kind. The block's own attributes count where it is of that kind.
func (s *send) prove(r *outgoing, block *config.Source, kind string, cfgErr error) error {
	if kind == "" || kind == "none" {
		if s.secret != "" {
			return usage("--secret is given, but nothing says how to sign: add --sign")
		}
		return nil
	}
	var o verify.Options
	if block.Verify.Kind == kind {
		o = block.Verify.Options()
	}
	if s.secret != "" {
		o.Secrets = []string{s.secret}
		if user, password, ok := strings.Cut(s.secret, ":"); ok && kind == "basic" {
			o.Username, o.Secrets = user, []string{password}
		}
	}
	if len(o.Secrets) == 0 {
		if cfgErr != nil {
			return fmt.Errorf("the secret is in the configuration, which can't be read; give --secret, or mend it: %w", cfgErr)
		}
		return usage("--sign %s needs --secret, or a source in the configuration with verify %q", kind, kind)
	}
	scheme, err := verify.New(kind, o)
	if err != nil {
		if block.Verify.Kind != kind {
			return usage("sign: %w: name a --source of the configuration with verify %q, which says it", err, kind)
		}
		return usage("sign: %w", err)
	}
	base := cmp.Or(block.PublicURL, defaultServer)
	signed := &verify.Request{Header: r.header, Body: r.body, URL: base + r.path, Time: time.Now()}
	if err := scheme.Sign(signed); err != nil {
		return usage("sign as %s: %w", kind, err)
	}
	r.header, r.body, r.path = signed.Header, signed.Body, strings.TrimPrefix(signed.URL, base)
	return nil
}

func parseHeaders(list []string) ([]event.Field, error) {
	var fields []event.Field
	for _, h := range list {
		name, value, ok := strings.Cut(h, "=")
		if !ok || name == "" {
			return nil, usage("--header %q is not name=value", h)
		}
		fields = append(fields, event.Field{Name: strings.ToLower(strings.TrimSpace(name)), Value: strings.TrimSpace(value)})
	}
	return fields, nil
}

// answer is what the router says, either way.
type answer struct {
	EventID string `json:"event_id"`
	Status  any    `json:"status"` // a word, or a problem's number
	Differs bool   `json:"differs"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
	// Errors are the places that do not fit a schema.
	Errors []struct {
		Pointer string `json:"pointer"`
		Message string `json:"message"`
	} `json:"errors"`
}

// refusal is the detail, and the places where there are several: the detail has the
// first.
func (a *answer) refusal() string {
	if len(a.Errors) < 2 {
		return a.Detail
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nall that does not fit:", a.Detail)
	for _, e := range a.Errors {
		fmt.Fprintf(&b, "\n  %s: %s", cmp.Or(e.Pointer, "the data"), e.Message)
	}
	return b.String()
}

// foreign is an answer that is no JSON, as a source may give its provider, with
// -o json.
type foreign struct {
	Status      int    `json:"http_status"`
	ContentType string `json:"content_type,omitempty"`
	Body        string `json:"body,omitempty"`
}

// post sends the request and prints the answer.
func (r *outgoing) post(cmd *cobra.Command, g *globals, router *client) error {
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, sendTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, router.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return fmt.Errorf("the server's address: %w", err)
	}
	for _, f := range r.header {
		request.Header.Set(f.Name, f.Value) // the user's come last and win
	}
	response, err := router.do(request)
	if err != nil {
		return fmt.Errorf("no answer; is the router running? %w", err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	ok := response.StatusCode >= 200 && response.StatusCode < 300
	if g.output == "json" {
		raw = bytes.TrimSpace(raw)
		if rawjson.Valid(raw) != nil { // what a provider is answered
			if raw, err = json.Marshal(foreign{response.StatusCode, response.Header.Get("Content-Type"), string(raw)}); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw); err != nil {
			return err
		}
		if !ok {
			return &exitError{code: 1} // the answer says what is wrong
		}
		return nil
	}
	var a answer
	known := json.Unmarshal(raw, &a) == nil // providers' answers may be anything
	switch {
	case !ok && known && a.Code != "":
		return fmt.Errorf("refused with %d %s: %s", response.StatusCode, a.Code, a.refusal())
	case !ok:
		return fmt.Errorf("refused with %s", response.Status)
	case known && a.EventID != "":
		differs := ""
		if a.Differs {
			differs = ", and differs from the first of that id, which is kept"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %v%s\n", a.EventID, a.Status, differs)
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "taken with %s\n", response.Status)
	}
	return err
}
