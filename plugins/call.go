package plugins

import (
	"bytes"
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

// function names the export that runs.
func (s stage) function() string {
	switch s {
	case stageFilter:
		return exportFilter
	case stageTransform:
		return exportTransform
	}
	return exportInit
}

// call is what one event, or the start of an instance, has in the host. All of
// a message's slices are replaced, never written into. An instance uses one call
// again and again, so that its buffers are made once.
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

	// edited holds msg.Data where mine is set, and spare is what it is edited
	// into next.
	mine          bool
	edited, spare []byte
	text          []byte // of the field that was read last
	paths         map[string]rawjson.Path

	results     []*event.Message
	resultBytes int
	failText    string
	logs        []Log
	logBytes    int
	lostLogs    int
}

// manyPaths is how many paths are kept parsed, and manyBytes how large a buffer
// is kept for the next call.
const (
	manyPaths = 256
	manyBytes = 256 << 10
)

// begin forgets the call before but for its buffers.
func (c *call) begin(s stage, m *event.Message, route string) {
	*c = call{
		stage: s, started: time.Now(), route: route, input: m,
		edited: kept(c.edited), spare: kept(c.spare), text: kept(c.text), paths: c.paths,
	}
	c.restore()
}

// end drops what belongs to the caller.
func (c *call) end() {
	c.input, c.msg, c.view, c.results = nil, event.Message{}, nil, nil
}

func kept(buffer []byte) []byte {
	if cap(buffer) > manyBytes {
		return nil
	}
	return buffer[:0]
}

// restore puts the message back to what the call was given.
func (c *call) restore() {
	if c.input == nil {
		return
	}
	c.msg = *c.input
	c.size = messageSize(&c.msg)
	c.viewKnown, c.mine = false, false
}

// messageSize counts what a plugin can make larger.
func messageSize(m *event.Message) int {
	n := len(m.Type) + len(m.Subject) + len(m.ContentType) + len(m.Data)
	for _, f := range m.SetHeader {
		n += len(f.Name) + len(f.Value)
	}
	return n
}

// copy returns the message as it stands. It shares nothing with the buffers.
func (c *call) copy() *event.Message {
	m := c.msg
	if c.mine {
		m.Data = bytes.Clone(m.Data)
	}
	return &m
}

// adoptData makes data, which was written into the spare buffer, the message's.
func (c *call) adoptData(data []byte) int32 {
	m := c.msg
	m.Data = data
	if code := c.adopt(m); code != 0 {
		return code
	}
	c.mine, c.edited, c.spare = true, data, c.edited
	return 0
}

// path parses a path, or finds it parsed.
func (c *call) path(path []byte) (rawjson.Path, error) {
	if p, ok := c.paths[string(path)]; ok {
		return p, nil
	}
	p, err := rawjson.ParsePath(string(path))
	if err != nil {
		return nil, err
	}
	if c.paths == nil || len(c.paths) == manyPaths {
		c.paths = map[string]rawjson.Path{}
	}
	c.paths[string(path)] = p
	return p, nil
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
	switch field {
	case fieldData:
		return c.msg.Data, 0
	case fieldType:
		return c.string(c.msg.Type), 0
	case fieldID:
		return c.string(c.msg.ID), 0
	case fieldSource:
		return c.string(c.msg.Source), 0
	case fieldSubject:
		return c.optional(c.msg.Subject)
	case fieldTime:
		c.text = event.AppendTime(c.text[:0], c.msg.Time)
		return c.text, 0
	case fieldContentType:
		return c.optional(c.msg.ContentType)
	case fieldMessage:
		c.text = c.msg.AppendJSON(c.text[:0])
		return c.text, 0
	case fieldRoute:
		return c.string(c.route), 0
	default: // fieldTenant
		return c.optional(c.msg.Tenant)
	}
}

// string returns a text's bytes until the next field is read.
func (c *call) string(s string) []byte {
	c.text = append(c.text[:0], s...)
	return c.text
}

func (c *call) optional(s string) ([]byte, int32) {
	if s == "" {
		return nil, codeNone
	}
	return c.string(s), 0
}

// write replaces a field by what ingest would take too.
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
		return c.adoptData(append(c.spare[:0], value...))
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
func (c *call) get(path []byte) ([]byte, int32) {
	p, err := c.path(path)
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

// editable says whether data may be edited at a path, which it parses.
func (c *call) editable(path []byte) (rawjson.Path, int32) {
	if !c.mayChange() {
		return nil, codeForbidden
	}
	p, err := c.path(path)
	if err != nil {
		return nil, codeMalformed
	}
	if !event.IsJSON(c.msg.ContentType) {
		return nil, codeNone // a form or a text has no place for a JSON value
	}
	return p, 0
}

// set puts a JSON value at a path of data.
func (c *call) set(path, value []byte) int32 {
	p, code := c.editable(path)
	if code != 0 {
		return code
	}
	data, err := rawjson.AppendSet(c.spare[:0], c.msg.Data, p, value)
	switch {
	case errors.Is(err, rawjson.ErrValue):
		return codeMalformed
	case err != nil:
		return codeNone
	}
	return c.adoptData(data)
}

// remove takes the value at a path out of data.
func (c *call) remove(path []byte) int32 {
	p, code := c.editable(path)
	if code != 0 {
		return code
	}
	data, err := rawjson.AppendRemove(c.spare[:0], c.msg.Data, p)
	if err != nil {
		return codeNone
	}
	return c.adoptData(data)
}

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
	return c.string(v), 0
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
