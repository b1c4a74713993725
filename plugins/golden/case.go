// Package golden holds golden events: an event that a plugin is given, and what
// must come out, as a JSON file that is written by hand (docs/plugins.md). The
// command "weir plugin test" and the tests of the examples run them, and the
// conformance suite of the ABI is written in the same form.
//
// Invariants:
//   - What a case leaves out has a default, and what it spells wrong is an error.
//   - A case is compared by rendering what was wanted and what came out in one
//     form: they agree where both texts are equal, and the difference between
//     them is what people are shown.
//   - The data of an event has the bytes that stand in the file.
package golden

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// The defaults of an event in a case.
const (
	DefaultID          = "evt_1"
	DefaultType        = "test.event"
	DefaultSource      = "events"
	DefaultContentType = "application/json"
	DefaultRoute       = "test"
)

// DefaultTime is when an event happened, and was received, that says nothing.
var DefaultTime = time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)

// ErrNoCases is a folder without a single case.
var ErrNoCases = errors.New("no golden events")

// Case is one golden event.
type Case struct {
	// Name is the file's, without its ending. Path is empty where the case does
	// not come from a file of its own.
	Name, Path string
	// Event is what the plugin is given. Whoever runs a case must not change it.
	Event *event.Message
	// Route is the name of the route that it is on its way along.
	Route string
	// Config is the plugin's, nil where the case has none.
	Config []byte
	// Want is nil where the case does not say what must come out.
	Want *Want

	files []string // that it names
}

type caseFile struct {
	Event      *eventFile      `json:"event"`
	Route      *string         `json:"route"`
	Config     json.RawMessage `json:"config"`
	ConfigFile string          `json:"config_file"`
	Want       *Want           `json:"want"`
}

type eventFile struct {
	ID          *string    `json:"id"`
	Type        *string    `json:"type"`
	Source      *string    `json:"source"`
	Subject     string     `json:"subject"`
	Tenant      string     `json:"tenant"`
	Time        *time.Time `json:"time"`
	Received    *time.Time `json:"received"`
	Header      fields     `json:"header"`
	ContentType *string    `json:"content_type"`
	payload
}

// Load reads the cases of a folder, in the order of their names. The files that
// a case names are none themselves. The error wraps [ErrNoCases] where there is
// no case.
func Load(dir string) ([]*Case, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("golden events: %w", err)
	}
	cases := map[string]*Case{}
	failed := map[string]error{}
	named := map[string]bool{}
	for _, path := range paths {
		c, err := Read(path)
		if err != nil {
			failed[path] = err
			continue
		}
		cases[path] = c
		for _, f := range c.files {
			named[f] = true
		}
	}
	var all []*Case
	var errs []error
	for _, path := range paths { // sorted
		switch {
		case named[path]:
		case failed[path] != nil:
			errs = append(errs, failed[path])
		default:
			all = append(all, cases[path])
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w in %s: write one, such as {\"event\": {\"type\": \"order.paid\", \"data\": {}}} in %s", ErrNoCases, dir, filepath.Join(dir, "first.json"))
	}
	return all, nil
}

// Read reads one case from a file.
func Read(path string) (*Case, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("golden event: %w", err)
	}
	c, err := Parse(text, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.Name, c.Path = strings.TrimSuffix(filepath.Base(path), ".json"), path
	return c, nil
}

// Parse reads one case. The files that it names are relative to dir.
func Parse(text []byte, dir string) (*Case, error) {
	var f caseFile
	if err := strict(text, &f); err != nil {
		return nil, err
	}
	if f.Event == nil {
		return nil, errors.New(`it has no "event"; a payload by itself belongs in a subfolder, and a case names it as "data_file"`)
	}
	c := &Case{Route: or(f.Route, DefaultRoute), Config: f.Config, Want: f.Want}
	if f.ConfigFile != "" {
		if f.Config != nil {
			return nil, errors.New(`"config" and "config_file" exclude each other`)
		}
		path := filepath.Join(dir, f.ConfigFile)
		config, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("config_file: %w", err)
		}
		if err := rawjson.Valid(config); err != nil {
			return nil, fmt.Errorf("config_file: %w", err)
		}
		c.Config, c.files = config, append(c.files, path)
	}
	var err error
	if c.Event, err = f.Event.message(dir); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	if f.Event.File != nil {
		c.files = append(c.files, filepath.Join(dir, *f.Event.File))
	}
	if c.Want == nil {
		return c, nil
	}
	if err := c.Want.check(); err != nil {
		return nil, fmt.Errorf("want: %w", err)
	}
	for i := range c.Want.Messages {
		m := &c.Want.Messages[i]
		m.exact = nil
		if m.File != nil {
			c.files = append(c.files, filepath.Join(dir, *m.File))
		}
		if !m.given() {
			continue
		}
		if m.exact, err = m.bytes(dir, or(m.ContentType, c.Event.ContentType)); err != nil {
			return nil, fmt.Errorf("want: message %d: %w", i+1, err)
		}
	}
	return c, nil
}

// strict decodes one JSON value whose names must all be known.
func strict(text []byte, v any) error {
	if err := rawjson.Valid(text); err != nil {
		return fmt.Errorf("not one JSON value: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func or(s *string, fallback string) string {
	if s == nil {
		return fallback
	}
	return *s
}

func (f *eventFile) message(dir string) (*event.Message, error) {
	m := &event.Message{
		ID: or(f.ID, DefaultID), Type: or(f.Type, DefaultType), Source: or(f.Source, DefaultSource),
		Subject: f.Subject, Tenant: f.Tenant, Time: DefaultTime,
		ContentType: or(f.ContentType, DefaultContentType), Header: f.Header,
	}
	if f.Time != nil {
		m.Time = f.Time.UTC()
	}
	m.Received = m.Time
	if f.Received != nil {
		m.Received = f.Received.UTC()
	}
	for _, c := range []struct {
		name string
		err  error
	}{
		{"type", event.CheckType(m.Type)}, {"subject", event.CheckSubject(m.Subject)},
		{"tenant", event.CheckTenant(m.Tenant)}, {"content_type", event.CheckContentType(m.ContentType)},
	} {
		if c.err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, c.err)
		}
	}
	if !event.ValidID(m.ID) {
		return nil, fmt.Errorf("id: %q is none: 1 to 128 of A-Za-z0-9._:-", m.ID)
	}
	if !f.given() {
		if event.IsJSON(m.ContentType) {
			m.Data = []byte("{}")
		}
		return m, nil
	}
	var err error
	m.Data, err = f.bytes(dir, m.ContentType)
	if err == nil && event.IsJSON(m.ContentType) {
		if err = rawjson.Valid(m.Data); err != nil {
			err = fmt.Errorf("data is not JSON, though its content type says so: %w", err)
		}
	}
	return m, err
}

// payload is data, in one of the ways to write it.
type payload struct {
	Data   json.RawMessage `json:"data,omitempty"`
	Text   *string         `json:"data_text,omitempty"`
	Base64 *string         `json:"data_base64,omitempty"`
	File   *string         `json:"data_file,omitempty"`
}

// given reports whether there is any.
func (p *payload) given() bool {
	return p.Data != nil || p.Text != nil || p.Base64 != nil || p.File != nil
}

// bytes returns the data under a content type.
func (p *payload) bytes(dir, contentType string) ([]byte, error) {
	n := 0
	for _, has := range []bool{p.Data != nil, p.Text != nil, p.Base64 != nil, p.File != nil} {
		if has {
			n++
		}
	}
	if n > 1 {
		return nil, errors.New("data, data_text, data_base64 and data_file exclude each other")
	}
	switch {
	case p.Text != nil:
		return []byte(*p.Text), nil
	case p.Base64 != nil:
		b, err := base64.StdEncoding.DecodeString(*p.Base64)
		if err != nil {
			return nil, fmt.Errorf("data_base64: %w", err)
		}
		return b, nil
	case p.File != nil:
		b, err := os.ReadFile(filepath.Join(dir, *p.File))
		if err != nil {
			return nil, fmt.Errorf("data_file: %w", err)
		}
		return b, nil
	case event.IsJSON(contentType):
		return slices.Clone(p.Data), nil
	}
	var text string
	if err := json.Unmarshal(p.Data, &text); err != nil {
		return nil, fmt.Errorf("data under the content type %q is a string that holds the body, or use data_base64", contentType)
	}
	return []byte(text), nil
}

// fields is a header, in the order of the file. A list stands for a name that is
// repeated.
type fields []event.Field

// UnmarshalJSON reads an object of strings and lists of strings.
func (f *fields) UnmarshalJSON(text []byte) error {
	var names map[string]json.RawMessage // for the error's sake
	if err := json.Unmarshal(text, &names); err != nil {
		return fmt.Errorf("header is an object of strings: %w", err)
	}
	*f = nil
	var bad error
	rawjson.EachMember(text, func(key, value []byte) bool {
		name, _ := rawjson.Unquote(key)
		if !event.ValidHeaderName(name) {
			bad = fmt.Errorf("header: %q is no name of one", name)
			return false
		}
		var values []string
		if rawjson.KindOf(value) == rawjson.Array {
			bad = json.Unmarshal(value, &values)
		} else {
			values = make([]string, 1)
			bad = json.Unmarshal(value, &values[0])
		}
		for _, v := range values {
			*f = append(*f, event.Field{Name: strings.ToLower(name), Value: v})
		}
		return bad == nil
	})
	return bad
}
