package plugins

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// Limits of one call.
const (
	// MaxResults is how many messages a call may give.
	MaxResults = 64
	// MaxResultBytes is the most that they may hold together: data, type,
	// subject, content type and the headers that were set.
	MaxResultBytes = 4 << 20

	maxLogLines = 100
	maxLogBytes = 64 << 10
	maxLogLine  = 4 << 10
)

// Codes that imports answer with.
const (
	codeNone      = -1 // a read finds nothing; a change has no place
	codeMalformed = -2
	codeForbidden = -3
	codeLimit     = -4
)

type stage byte

const (
	stageInit stage = iota
	stageFilter
	stageTransform
)

// call is what one event, or the start of an instance, has in the host. All of
// a message's slices are replaced, never written into.
type call struct {
	stage   stage
	started time.Time
	route   string
	input   *event.Message // nil in init
	msg     event.Message  // as it stands
	size    int            // of msg, in bytes
	changed bool

	view      []byte // JSON view of msg's data
	viewOK    bool
	viewKnown bool

	results     []*event.Message
	resultBytes int
	failText    string
	logs        []Log
	logBytes    int
	lostLogs    int
}

func newCall(s stage, m *event.Message, route string) *call {
	c := &call{stage: s, started: time.Now(), route: route, input: m}
	c.restore()
	return c
}

// restore puts the message back to what the call was given.
func (c *call) restore() {
	if c.input == nil {
		return
	}
	c.msg = *c.input
	c.size = messageSize(&c.msg)
	c.viewKnown = false
}

// messageSize counts what a plugin can make larger.
func messageSize(m *event.Message) int {
	n := len(m.Type) + len(m.Subject) + len(m.ContentType) + len(m.Data)
	for _, f := range m.SetHeader {
		n += len(f.Name) + len(f.Value)
	}
	return n
}

// copy returns the message as it stands.
func (c *call) copy() *event.Message {
	m := c.msg
	return &m
}

// adopt makes m the message as it stands, unless it is over the limit. A message
// that came in larger than that may be made smaller.
func (c *call) adopt(m event.Message) int32 {
	size := messageSize(&m)
	if size > MaxResultBytes && size > c.size {
		return codeLimit
	}
	c.msg, c.size = m, size
	c.changed, c.viewKnown = true, false
	return 0
}

// mayChange reports whether changing imports are allowed now.
func (c *call) mayChange() bool { return c.stage == stageTransform }

// jsonView returns the JSON view of data.
func (c *call) jsonView() ([]byte, bool) {
	if !c.viewKnown {
		c.view, c.viewOK = c.msg.View()
		c.viewKnown = true
	}
	return c.view, c.viewOK
}

// Fields, as read and write number them.
const (
	fieldData = iota
	fieldType
	fieldID
	fieldSource
	fieldSubject
	fieldTime
	fieldContentType
	fieldMessage
	fieldConfig
	fieldRoute
	fieldTenant
	fieldCount
)

// field returns a field's bytes, or a negative code.
func (c *call) field(field uint32, config []byte) ([]byte, int32) {
	if field >= fieldCount {
		return nil, codeMalformed
	}
	if field == fieldConfig {
		return config, 0
	}
	if c.input == nil { // init has no event
		return nil, codeNone
	}
	optional := func(s string) ([]byte, int32) {
		if s == "" {
			return nil, codeNone
		}
		return []byte(s), 0
	}
	switch field {
	case fieldData:
		return c.msg.Data, 0
	case fieldType:
		return []byte(c.msg.Type), 0
	case fieldID:
		return []byte(c.msg.ID), 0
	case fieldSource:
		return []byte(c.msg.Source), 0
	case fieldSubject:
		return optional(c.msg.Subject)
	case fieldTime:
		return []byte(event.FormatTime(c.msg.Time)), 0
	case fieldContentType:
		return optional(c.msg.ContentType)
	case fieldMessage:
		return c.msg.AppendJSON(nil), 0
	case fieldRoute:
		return []byte(c.route), 0
	default: // fieldTenant
		return optional(c.msg.Tenant)
	}
}

// write replaces a field by what ingest would take too. It keeps value where that
// is not empty.
func (c *call) write(field uint32, value []byte) int32 {
	if !c.mayChange() {
		return codeForbidden
	}
	m := c.msg
	text := ""
	if field != fieldData {
		text = string(value)
	}
	switch field {
	case fieldData:
		if len(value) > MaxResultBytes && len(value) > c.size {
			return codeLimit // before the work of checking it
		}
		if event.IsJSON(m.ContentType) && rawjson.Valid(value) != nil {
			return codeMalformed
		}
		m.Data = value
	case fieldType:
		if event.CheckType(text) != nil {
			return codeMalformed
		}
		if strings.HasPrefix(text, "weir.") && text != c.input.Type {
			return codeForbidden // the router's own
		}
		m.Type = text
	case fieldSubject:
		if event.CheckSubject(text) != nil {
			return codeMalformed
		}
		m.Subject = text
	case fieldContentType:
		if event.CheckContentType(text) != nil {
			return codeMalformed
		}
		if event.IsJSON(text) && rawjson.Valid(m.Data) != nil {
			return codeMalformed
		}
		m.ContentType = text
	default:
		return codeMalformed
	}
	return c.adopt(m)
}

// get returns the value at a path of data, or a negative code.
func (c *call) get(path string) ([]byte, int32) {
	p, err := rawjson.ParsePath(path)
	if err != nil {
		return nil, codeMalformed
	}
	if c.input == nil {
		return nil, codeNone
	}
	view, ok := c.jsonView()
	if !ok {
		return nil, codeNone
	}
	v, ok := rawjson.Get(view, p)
	if !ok {
		return nil, codeNone
	}
	return v, 0
}

// edit changes data in place by a path.
func (c *call) edit(path string, change func([]byte, rawjson.Path) ([]byte, error)) int32 {
	if !c.mayChange() {
		return codeForbidden
	}
	p, err := rawjson.ParsePath(path)
	if err != nil {
		return codeMalformed
	}
	if !event.IsJSON(c.msg.ContentType) {
		return codeNone // a form or a text has no place for a JSON value
	}
	data, err := change(c.msg.Data, p)
	switch {
	case errors.Is(err, rawjson.ErrValue):
		return codeMalformed
	case err != nil:
		return codeNone
	}
	m := c.msg
	m.Data = data
	return c.adopt(m)
}

func (c *call) set(path string, value []byte) int32 {
	return c.edit(path, func(data []byte, p rawjson.Path) ([]byte, error) { return rawjson.Set(data, p, value) })
}

func (c *call) remove(path string) int32 { return c.edit(path, rawjson.Remove) }

// header returns a header's value, or a negative code.
func (c *call) header(name string) ([]byte, int32) {
	if !event.ValidHeaderName(name) {
		return nil, codeMalformed
	}
	if c.input == nil {
		return nil, codeNone
	}
	v, ok := c.msg.HeaderValue(name)
	if !ok {
		return nil, codeNone
	}
	return []byte(v), 0
}

func (c *call) setHeader(name, value string) int32 {
	if code := c.mayChangeHeader(name); code != 0 {
		return code
	}
	if !event.ValidHeaderValue(value) {
		return codeMalformed
	}
	name = strings.ToLower(name)
	m := c.msg
	m.SetHeader = append(without(m.SetHeader, name), event.Field{Name: name, Value: value})
	return c.adopt(m)
}

func (c *call) removeHeader(name string) int32 {
	if code := c.mayChangeHeader(name); code != 0 {
		return code
	}
	name = strings.ToLower(name)
	if _, ok := c.msg.HeaderValue(name); !ok {
		return codeNone
	}
	m := c.msg
	m.Header = without(m.Header, name)
	m.SetHeader = without(m.SetHeader, name)
	return c.adopt(m)
}

func (c *call) mayChangeHeader(name string) int32 {
	if !c.mayChange() {
		return codeForbidden
	}
	if !event.ValidHeaderName(name) {
		return codeMalformed
	}
	if event.ReservedHeader(name) {
		return codeForbidden
	}
	return 0
}

// without returns a new list without the headers called name.
func without(fields []event.Field, name string) []event.Field {
	kept := make([]event.Field, 0, len(fields)+1)
	for _, f := range fields {
		if f.Name != name {
			kept = append(kept, f)
		}
	}
	return kept
}

// emit adds the message as it stands to the results and starts again.
func (c *call) emit() int32 {
	if !c.mayChange() {
		return codeForbidden
	}
	if len(c.results) == MaxResults || c.resultBytes+c.size > MaxResultBytes {
		return codeLimit
	}
	c.results = append(c.results, c.copy())
	c.resultBytes += c.size
	c.restore()
	return 0
}

// log keeps a line. What is over the limits is counted.
func (c *call) log(level int32, text []byte) {
	if len(text) > maxLogLine {
		text = text[:maxLogLine]
	}
	if len(c.logs) == maxLogLines || c.logBytes+len(text) > maxLogBytes {
		c.lostLogs++
		return
	}
	c.logBytes += len(text)
	c.logs = append(c.logs, Log{Level: int(min(max(level, 1), 5)), Text: valid(text)})
}

// fail keeps the text of the last failure.
func (c *call) fail(text []byte) {
	if len(text) > maxLogLine {
		text = text[:maxLogLine]
	}
	c.failText = valid(text)
}

// failure returns why a function answered with a negative code.
func (c *call) failure(function string, code int32) string {
	if c.failText != "" {
		return c.failText
	}
	return fmt.Sprintf("%s returned %d and gave no reason", function, code)
}

func valid(text []byte) string { return strings.ToValidUTF8(string(text), "\uFFFD") }
