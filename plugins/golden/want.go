package golden

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// Want is what must come out. The zero value is: kept, one message, unchanged.
type Want struct {
	// Filter is keep, drop, or empty, which means keep where there is a filter.
	Filter string `json:"filter,omitempty"`
	// Messages are the results. nil means one that is unchanged, or none after
	// a drop; an empty list means none.
	Messages []Message `json:"messages"`
	// Error is the failure that the call must end with.
	Error *Error `json:"error,omitempty"`
	// Logs are the lines that the plugin must log, such as "info: hello". nil
	// means any.
	Logs []string `json:"logs"`
}

// Message is one result. What is left out must be as in the event.
type Message struct {
	Type        *string `json:"type,omitempty"`
	Subject     *string `json:"subject,omitempty"`
	ContentType *string `json:"content_type,omitempty"`
	// Header holds what the plugin set, and null for what it removed.
	Header map[string]*string `json:"header,omitempty"`
	payload

	exact []byte // the data that was given
}

// Error is a failure.
type Error struct {
	// Class is the error's, empty for any.
	Class plugins.Class `json:"class,omitempty"`
	// Text must be a part of the error's text.
	Text string `json:"text,omitempty"`
}

func (w *Want) check() error {
	switch w.Filter {
	case "", string(plugins.Keep):
	case string(plugins.Drop):
		if len(w.Messages) > 0 {
			return errors.New("a filter that drops gives no messages")
		}
	default:
		return fmt.Errorf("filter is \"keep\" or \"drop\", not %q", w.Filter)
	}
	if w.Error != nil && (w.Filter != "" || w.Messages != nil) {
		return errors.New("a call gives an error or messages, not both")
	}
	for _, line := range w.Logs {
		if level, _, ok := strings.Cut(line, ": "); !ok || !slices.Contains(levels, level) {
			return fmt.Errorf("logs: %q is no line: write one of %s, \": \" and the text", line, strings.Join(levels, ", "))
		}
	}
	return nil
}

// levels are the names of the log's levels, from 1.
var levels = []string{"trace", "debug", "info", "warn", "error"}

// Outcome is what a call gave.
type Outcome struct {
	// Filter is the filter's verdict, empty where the module has none.
	Filter plugins.Verdict
	// Messages are the results in order.
	Messages []*event.Message
	Logs     []plugins.Log
	// Class is that of the error, empty where there was none.
	Class  plugins.Class
	Text   string
	Stderr string
	// Fuel is what the call took, in units.
	Fuel int64
}

// OutcomeOf is the outcome of [plugins.Plugin.Run]. Errors that are no fault of
// the call are returned.
func OutcomeOf(r *plugins.Result, err error) (Outcome, error) {
	var e *plugins.Error
	switch {
	case errors.As(err, &e):
		return Outcome{Class: e.Class, Text: e.Text, Stderr: e.Stderr, Logs: e.Logs, Fuel: e.Fuel}, nil
	case err != nil:
		return Outcome{}, err
	}
	return Outcome{Filter: r.Filter, Messages: r.Messages, Logs: r.Logs, Fuel: r.Fuel}, nil
}

// Bytes holds everything that must be the same each time a pure plugin is given
// the same event.
func (o Outcome) Bytes() []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // it holds texts, bytes and times
	}
	return b
}

// view is a want or an outcome as it is shown and compared.
type view struct {
	Filter   string         `json:"filter,omitempty"`
	Messages *[]messageView `json:"messages,omitempty"`
	Error    *Error         `json:"error,omitempty"`
	Logs     *[]string      `json:"logs,omitempty"`
}

type messageView struct {
	Type        *string            `json:"type,omitempty"`
	Subject     *string            `json:"subject,omitempty"`
	ContentType *string            `json:"content_type,omitempty"`
	Header      map[string]*string `json:"header,omitempty"`
	payload
}

func (v view) render() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("rendering a golden event: %v", err)) // its JSON has been checked
	}
	return b.String()
}

// Compare returns nothing where the outcome is as wanted, else what was wanted
// and what came out, as texts of which only what differs is different.
func (c *Case) Compare(o Outcome) (want, got string) {
	want, got = c.wanted(o).render(), c.came(o, c.Want).render()
	if want == got {
		return "", ""
	}
	return want, got
}

// Describe returns what came out, as the want of a case would have it: what is as
// in the event is left out.
func (c *Case) Describe(o Outcome) string { return c.came(o, &Want{Logs: []string{}}).render() }

// wanted takes from the outcome what the case leaves open.
func (c *Case) wanted(o Outcome) view {
	w := c.Want
	v := view{Filter: w.Filter}
	switch {
	case w.Error != nil:
		e := *w.Error
		if e.Class == "" && o.Class != "" {
			e.Class = o.Class
		}
		v.Error = &e
	case w.Filter != string(plugins.Drop):
		messages := w.Messages
		if messages == nil {
			messages = []Message{{}}
		}
		v.Messages = new(make([]messageView, 0, len(messages)))
		for i := range messages {
			*v.Messages = append(*v.Messages, c.wantedMessage(&messages[i]))
		}
	}
	if w.Logs != nil {
		v.Logs = &w.Logs
	}
	return v
}

func (c *Case) wantedMessage(m *Message) messageView {
	v := messageView{
		Type: changed(m.Type, c.Event.Type), Subject: changed(m.Subject, c.Event.Subject), ContentType: changed(m.ContentType, c.Event.ContentType),
	}
	for name, value := range m.Header {
		if v.Header == nil {
			v.Header = map[string]*string{}
		}
		v.Header[strings.ToLower(name)] = value
	}
	if m.given() {
		v.payload = shown(m.exact, or(m.ContentType, c.Event.ContentType), m.payload)
	}
	return v
}

// changed is nil for what is as in the event.
func changed(s *string, as string) *string {
	if s == nil || *s == as {
		return nil
	}
	return s
}

// came puts an outcome in the form of a want. Where that says nothing, in the
// form that says most.
func (c *Case) came(o Outcome, like *Want) view {
	if like == nil {
		like = &Want{}
	}
	v := view{}
	if like.Logs != nil {
		lines := []string{}
		for _, l := range o.Logs {
			lines = append(lines, levels[min(max(l.Level, 1), 5)-1]+": "+l.Text)
		}
		v.Logs = &lines
	}
	if o.Class != "" {
		v.Error = &Error{Class: o.Class, Text: o.Text}
		if e := like.Error; e != nil && strings.Contains(o.Text, e.Text) {
			v.Error.Text = e.Text
		}
		return v
	}
	if o.Filter == plugins.Drop || like.Filter != "" {
		v.Filter = string(o.Filter)
	}
	if o.Filter == plugins.Drop && len(o.Messages) == 0 {
		return v
	}
	v.Messages = new(make([]messageView, 0, len(o.Messages)))
	for i, m := range o.Messages {
		var form *payload
		switch {
		case i < len(like.Messages):
			form = &like.Messages[i].payload
		default:
			form = &payload{}
		}
		*v.Messages = append(*v.Messages, c.cameMessage(m, *form))
	}
	return v
}

func (c *Case) cameMessage(m *event.Message, form payload) messageView {
	v := messageView{
		Type: changed(&m.Type, c.Event.Type), Subject: changed(&m.Subject, c.Event.Subject), ContentType: changed(&m.ContentType, c.Event.ContentType),
	}
	header := map[string]*string{}
	for _, f := range m.SetHeader {
		header[f.Name] = &f.Value
	}
	for _, f := range c.Event.Header {
		if _, ok := m.HeaderValue(f.Name); !ok {
			header[f.Name] = nil
		}
	}
	if len(header) > 0 {
		v.Header = header
	}
	if form.given() || !bytes.Equal(m.Data, c.Event.Data) {
		v.payload = shown(m.Data, m.ContentType, form)
	}
	return v
}

// shown writes data in a form that was asked for, or in the one that suits it.
func shown(data []byte, contentType string, form payload) payload {
	text, encoded := string(data), base64.StdEncoding.EncodeToString(data)
	switch {
	case form.Base64 != nil, !utf8.Valid(data):
		return payload{Base64: &encoded}
	case form.Text != nil:
		return payload{Text: &text}
	case !event.IsJSON(contentType):
		return payload{Data: rawjson.AppendString(nil, text)}
	case rawjson.Valid(data) != nil:
		return payload{Text: &text}
	}
	return payload{Data: canonical(data)}
}

// Updated returns the text of the case's file with what came out as its want.
// Nothing else in it changes.
func (c *Case) Updated(text []byte, o Outcome) ([]byte, error) {
	like := &Want{}
	if c.Want != nil {
		like.Logs = c.Want.Logs
		if c.Want.Filter == string(plugins.Keep) {
			like.Filter = c.Want.Filter
		}
	}
	v := c.came(o, like)
	if v.Messages != nil {
		for i, m := range o.Messages {
			if p := &(*v.Messages)[i].payload; p.Data != nil && event.IsJSON(m.ContentType) {
				p.Data = m.Data // in the order that it has
			}
		}
		if len(*v.Messages) == 1 && isUnchanged((*v.Messages)[0]) {
			v.Messages = nil // the default
		}
	}
	want := strings.TrimRight(v.render(), "\n")
	want = strings.ReplaceAll(want, "\n", "\n  ")
	path := rawjson.Path{rawjson.Name("want")}
	at, ok := rawjson.Get(text, path)
	if ok && len(at) > 0 {
		return rawjson.Set(text, path, []byte(want))
	}
	// rawjson appends without a line break, which nobody would write by hand.
	end := bytes.LastIndexByte(text, '}')
	head := bytes.TrimRight(text[:end], " \t\r\n")
	return slices.Concat(head, []byte(",\n  \"want\": "), []byte(want), []byte("\n"), text[end:]), nil
}

func isUnchanged(m messageView) bool {
	return m.Type == nil && m.Subject == nil && m.ContentType == nil && m.Header == nil && !m.given()
}
