package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/problem"
)

// Bounds of a registration.
const (
	maxURL         = 2048
	maxPatterns    = 100
	maxPattern     = 256
	maxTenant      = 256
	maxUID         = 128
	maxDescription = 1024
	maxFilter      = 4096
	maxPatternSize = 1000 // instructions of all regex patterns of a filter
	maxMetadata    = 50   // members
	maxMetadataKey = 64   // bytes of a name
	maxMetadataAll = 4096 // bytes of all
)

// Fields are the members of a registration's body. A nil one was not given.
type Fields struct {
	URL, Secret, Tenant, UID, Filter, Plugin, Description, Format *string
	Events                                                        []string
	Metadata                                                      json.RawMessage
}

// invalid is the problem of a member, with the code bad_ and the member's name.
func invalid(member, format string, args ...any) *problem.Problem {
	return problem.New(http.StatusBadRequest, "bad_"+member, "%s: %s", member, fmt.Sprintf(format, args...)).With("member", member)
}

// ParseCreate reads the body of a registration.
func ParseCreate(body []byte) (*Fields, error) {
	f := &Fields{}
	if err := f.parse(body, ""); err != nil {
		return nil, err
	}
	switch {
	case f.URL == nil:
		return nil, invalid("url", `it is missing; a registration is like {"url": "https://example.com/hook", "events": ["order.*"]}`)
	case f.Events == nil:
		return nil, invalid("events", `they are missing; ["*"] takes all`)
	}
	return f, nil
}

// ParsePatch reads the body of a change (RFC 7396): what is not there stays as it
// is, null takes a member away.
func ParsePatch(body []byte) (*Fields, error) {
	f := &Fields{}
	return f, f.parse(body, "secret tenant")
}

// Rotation is the body of a rotation.
type Rotation struct {
	// Secret is the new one; empty: it is made.
	Secret string
	// Activate is from when on X-Webhook-Signature is by it; zero: now.
	Activate time.Time
	// Overlap is how long those before sign beside the new one once it is active, at
	// most [Overlap]; nil: that long. Zero cuts off a secret that has leaked.
	Overlap *time.Duration
}

// maxActivateAfter bounds how far ahead a secret is rotated.
const maxActivateAfter = 30 * 24 * time.Hour

// ParseRotation reads the body of a rotation; none is an empty object.
func ParseRotation(body []byte, now time.Time) (*Rotation, error) {
	r := &Rotation{}
	if len(bytes.TrimSpace(body)) == 0 {
		return r, nil
	}
	err := members(body, []string{"secret", "activate_after", "overlap"}, func(name string, v json.RawMessage) error {
		s, err := text(name, v)
		if err != nil || s == nil {
			return err
		}
		if name == "secret" {
			r.Secret = *s
			return plain(checkSecret(*s))
		}
		if name == "overlap" {
			d, err := config.ParseDuration(*s)
			if err != nil || d < 0 || d > Overlap {
				return invalid(name, `it is a time span from "0s", which ends the secrets before at once, to "%s"`, config.FormatDuration(Overlap))
			}
			r.Overlap = &d
			return nil
		}
		at, err := time.Parse(time.RFC3339, *s)
		if err != nil {
			d, err := config.ParseDuration(*s)
			if err != nil {
				return invalid(name, `it is a time such as "2026-01-02T15:04:05Z", or how long from now, such as "1h"`)
			}
			at = now.Add(d)
		}
		if at.After(now.Add(maxActivateAfter)) {
			return invalid(name, "it is more than %s ahead", config.FormatDuration(maxActivateAfter))
		}
		if at.After(now) {
			r.Activate = at.UTC()
		}
		return nil
	})
	return r, err
}

// plain avoids an error that holds a nil problem.
func plain(p *problem.Problem) error {
	if p == nil {
		return nil
	}
	return p
}

// members calls each for the members of an object, in order. Names are exact,
// known ones, and there once: what is not understood must not be ignored.
func members(body []byte, known []string, each func(name string, v json.RawMessage) error) error {
	malformed := func(err error) error {
		return problem.New(http.StatusBadRequest, "malformed_json", "the body must be one JSON object: %s", problem.Misread(err))
	}
	if !utf8.Valid(body) {
		return malformed(errors.New("it is not UTF-8"))
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("it does not begin with {")
		}
		return malformed(err)
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return malformed(err)
		}
		name, _ := t.(string)
		if !slices.Contains(known, name) {
			hint := expr.DidYouMean(name, known)
			if hint == "" {
				hint = " There are " + strings.Join(known, ", ") + "."
			}
			return problem.New(http.StatusBadRequest, "unknown_member", "there is no member %q.%s", shorten(name), hint).With("member", shorten(name))
		}
		if seen[name] {
			return problem.New(http.StatusBadRequest, "duplicate_member", "the member %q is there twice", name).With("member", name)
		}
		seen[name] = true
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return malformed(err)
		}
		if err := each(name, v); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return malformed(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return malformed(errors.New("something follows it"))
	}
	return nil
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return s
}

var allMembers = []string{"url", "events", "secret", "tenant", "uid", "filter", "plugin", "format", "description", "metadata"}

// parse reads the members but those that are fixed.
func (f *Fields) parse(body []byte, fixed string) error {
	return members(body, allMembers, func(name string, v json.RawMessage) (err error) {
		for part := range strings.FieldsSeq(fixed) {
			if name != part {
				continue
			}
			if name == "secret" {
				return invalid(name, "a secret is changed by POST …/rotate, so that receivers can follow")
			}
			return invalid(name, "a webhook stays with its tenant: delete it and register another")
		}
		switch name {
		case "events":
			f.Events, err = patterns(v)
			return err
		case "metadata":
			f.Metadata, err = metadata(v)
			return err
		}
		s, err := text(name, v)
		if err != nil {
			return err
		}
		if s == nil {
			if name == "url" {
				return invalid(name, "it can't be taken away")
			}
			empty := ""
			s = &empty
			if name == "secret" {
				return nil // one is made
			}
		} else if err := checks[name](*s); err != nil {
			return err
		}
		switch name {
		case "url":
			f.URL = s
		case "secret":
			f.Secret = s
		case "tenant":
			f.Tenant = s
		case "uid":
			f.UID = s
		case "filter":
			f.Filter = s
		case "plugin":
			f.Plugin = s
		case "format":
			f.Format = s
		case "description":
			f.Description = s
		}
		return nil
	})
}

// text reads a text; null gives nil.
func text(name string, v json.RawMessage) (*string, error) {
	var s *string
	if err := json.Unmarshal(v, &s); err != nil {
		return nil, invalid(name, "it must be a text")
	}
	return s, nil
}

// checks are those of texts, by member.
var checks = map[string]func(string) error{
	"url":         func(s string) error { _, err := parseURL(s); return err },
	"secret":      func(s string) error { return plain(checkSecret(s)) },
	"tenant":      func(s string) error { return plain(checkLine("tenant", s, maxTenant)) },
	"uid":         checkUID,
	"filter":      checkFilter,
	"plugin":      func(s string) error { return plain(checkLine("plugin", s, maxPattern)) },
	"description": checkDescription,
	"format": func(s string) error {
		switch config.Format(s) {
		case config.FormatEnvelope, config.FormatRaw, config.FormatCloudEvents, config.FormatCloudEventsBinary:
			return nil
		}
		return invalid("format", `it is "envelope", "raw", "cloudevents" or "cloudevents-binary"`)
	},
}

// parseURL says what is wrong with a URL itself; whether it may be used is the
// guard's business.
func parseURL(s string) (*url.URL, error) {
	if len(s) > maxURL {
		return nil, invalid("url", "it has %d bytes, and at most %d are allowed", len(s), maxURL)
	}
	if strings.ContainsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) || c == '\\' }) {
		return nil, invalid("url", "it has white space, a control character or a backslash: escape it")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Opaque != "" || u.Hostname() == "":
		return nil, invalid("url", `it is no URL such as "https://example.com/hook"`)
	case u.User != nil:
		return nil, invalid("url", "it has a user or a password, which lists would show: deliveries are signed instead")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return nil, invalid("url", `what follows "#" is never sent: leave it out`)
	case strings.HasSuffix(u.Host, ":"):
		return nil, invalid("url", "it has a colon and no port")
	}
	return u, nil
}

func patterns(v json.RawMessage) ([]string, error) {
	var list []string
	if err := json.Unmarshal(v, &list); err != nil || len(list) == 0 {
		return nil, invalid("events", `they are a list of types, such as ["order.created", "invoice.*"]; ["*"] takes all`)
	}
	if len(list) > maxPatterns {
		return nil, invalid("events", "there are %d, and at most %d are allowed", len(list), maxPatterns)
	}
	var out []string
	for _, p := range list {
		switch {
		case p == "" || len(p) > maxPattern:
			return nil, invalid("events", "a type has 1 to %d bytes", maxPattern)
		case strings.ContainsFunc(p, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }):
			return nil, invalid("events", "%q has white space or a control character, as no type has", p)
		case strings.HasPrefix(p, "weir."):
			return nil, invalid("events", "%q: the router's own events are not for webhooks", p)
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

func metadata(v json.RawMessage) (json.RawMessage, error) {
	var m map[string]string
	if err := json.Unmarshal(v, &m); err != nil {
		return nil, invalid("metadata", `it is an object of texts, such as {"team": "billing"}`)
	}
	if len(m) > maxMetadata {
		return nil, invalid("metadata", "it has %d members, and at most %d are allowed", len(m), maxMetadata)
	}
	size := 0
	for k, s := range m {
		if k == "" || len(k) > maxMetadataKey {
			return nil, invalid("metadata", "a name has 1 to %d bytes", maxMetadataKey)
		}
		size += len(k) + len(s)
	}
	if size > maxMetadataAll {
		return nil, invalid("metadata", "it has %d bytes, and at most %d are allowed", size, maxMetadataAll)
	}
	if len(m) == 0 {
		return json.RawMessage("null"), nil
	}
	b, err := json.Marshal(m) // in order of name
	return b, err
}

// checkLine is for a text of one line that is not empty.
func checkLine(member, s string, most int) *problem.Problem {
	if s == "" || len(s) > most || strings.ContainsFunc(s, unicode.IsControl) {
		return invalid(member, "it has 1 to %d bytes, without control characters", most)
	}
	return nil
}

func checkUID(s string) error {
	visible := !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
	if s == "" || len(s) > maxUID || !visible {
		return invalid("uid", "it has 1 to %d ASCII characters, without spaces", maxUID)
	}
	return nil
}

func checkDescription(s string) error {
	if len(s) > maxDescription {
		return invalid("description", "it has %d bytes, and at most %d are allowed", len(s), maxDescription)
	}
	return nil
}

func checkFilter(s string) error {
	if s == "" || len(s) > maxFilter {
		return invalid("filter", "it has 1 to %d bytes", maxFilter)
	}
	p, err := parseFilter(s)
	if err == nil && p.PatternSize() > maxPatternSize {
		return invalid("filter", "its patterns are %d instructions long once their repeats are written out, and at most %d are allowed", p.PatternSize(), maxPatternSize)
	}
	return err
}

func parseFilter(s string) (*expr.Program, error) {
	p, err := config.ParseCondition(s)
	if err != nil {
		return nil, invalid("filter", "%v", err)
	}
	return p, nil
}
