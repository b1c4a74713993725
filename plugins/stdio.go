package plugins

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// exportCommand is what a WASI command exports: its main function.
const exportCommand = "_start"

// maxOutput is the most that a command may write for one event, in bytes. Data
// that is not JSON is half as much again there.
const maxOutput = 2 * MaxResultBytes

// InspectStdio is [Inspect] for a module of [ABIStdio]: a WASI command, as
// compilers make of a program with a main function.
func InspectStdio(wasm []byte) (*Info, error) {
	m, err := parseModule(wasm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotWasm, err)
	}
	info := newInfo(wasm)
	if err := m.checkImports(info); err != nil {
		return nil, err
	}
	for _, i := range m.imports {
		if i.module == importModule {
			return nil, fmt.Errorf("%w: the module imports %q, which is not there with abi = \"stdio\": leave `abi` out, or read the message on stdin", ErrImport, i.module+"."+i.name)
		}
	}
	for _, e := range m.exports {
		info.Exports = append(info.Exports, e.name)
	}
	e, ok := m.export(exportCommand)
	got, known := m.functionType(e.index)
	if !ok || e.kind != externFunction || !known || got != (signature{}) {
		return nil, fmt.Errorf("%w: %s: with abi = \"stdio\" a plugin is a program with a main function (Go: GOOS=wasip1 GOARCH=wasm go build)", ErrExport, exportCommand)
	}
	if err := m.checkMemory(info); err != nil {
		return nil, err
	}
	info.Kind, info.Transform = KindTransform, true
	return info, nil
}

// outputBuffer takes what a command writes, up to maxOutput.
type outputBuffer struct {
	bytes.Buffer
	full bool
}

// Write fails once there is too much.
func (b *outputBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxOutput {
		b.full = true
		return 0, errors.New("too much output")
	}
	return b.Buffer.Write(p)
}

// runCommand runs a command on the message: it stands on stdin as the JSON of
// field 7, and each JSON object on stdout is a result. None is no result.
func (i *instance) runCommand(r *Result) error {
	c := &i.call
	c.stage = stageTransform
	c.text = c.msg.AppendJSON(c.text[:0])
	i.stdin.Reset(c.text)
	i.stdout.Reset()
	i.stdout.full = false
	err := i.enter(i.command, exportCommand)
	if e := i.exited(err); e != nil {
		return e
	}
	if i.stdout.full {
		return i.newError(ClassBadResult, exportCommand, fmt.Sprintf("it wrote more than %d bytes to stdout", maxOutput))
	}
	output := json.NewDecoder(&i.stdout.Buffer)
	for n := 1; ; n++ {
		var one json.RawMessage
		err := output.Decode(&one)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = c.readMessage(one)
		}
		if err == nil && c.emit() != 0 {
			err = fmt.Errorf("more than %d messages or %d bytes", MaxResults, MaxResultBytes)
		}
		if err != nil {
			return i.newError(ClassBadResult, exportCommand, fmt.Sprintf("message %d on stdout: %v", n, err))
		}
	}
	switch {
	case len(c.results) == 0:
		r.Transform = Dropped
	case len(c.results) > 1:
		r.Transform, r.Messages = Emitted, c.results
	case c.changed:
		r.Transform, r.Messages = Changed, c.results
	default:
		r.Transform = Same
		r.only(c.input)
	}
	return nil
}

// exited turns the end of a command into its outcome: exit code 0 is a success,
// another one is the plugin's own refusal, with what it wrote on stderr.
func (i *instance) exited(err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Class != ClassExit || i.exit == nil {
		return err
	}
	i.broken = false // a command always ends so, and its memory is put back
	if i.exit.ExitCode() == 0 {
		return nil
	}
	text := fmt.Sprintf("it ended with exit code %d", i.exit.ExitCode())
	if said := strings.TrimSpace(i.stderr.String()); said != "" {
		text += ": " + said
	}
	return i.newError(ClassPlugin, exportCommand, text)
}

// readMessage makes the message as it stands what a command wrote. Members that
// are left out stay as they are in the event.
func (c *call) readMessage(text []byte) (err error) {
	if rawjson.KindOf(text) != rawjson.Object {
		return errors.New("it is no JSON object")
	}
	code := int32(0)
	set := func(f func() int32) {
		if code == 0 {
			code = f()
		}
	}
	var contentType, data []byte
	encoded := false
	rawjson.EachMember(text, func(key, value []byte) bool {
		name, _ := rawjson.Unquote(key)
		word, isString := rawjson.Unquote(value)
		switch name {
		case "id", "source", "time", "tenant":
			return true // the event's, whatever is written
		case "data":
			data, encoded = value, false
			return true
		case "header":
			set(func() int32 { return c.readHeader(value) })
		case "type", "subject", "content_type", "data_base64":
			if !isString {
				err = fmt.Errorf("its %s is no string", name)
				break
			}
			switch name {
			case "type":
				set(func() int32 { return c.replace(fieldType, c.msg.Type, word) })
			case "subject":
				set(func() int32 { return c.replace(fieldSubject, c.msg.Subject, word) })
			case "content_type":
				contentType = []byte(word)
			default:
				data, encoded = []byte(word), true
			}
		default:
			err = fmt.Errorf("it has the unknown member %q: a message has type, subject, content_type, header, and data or data_base64", name)
		}
		if err == nil && code != 0 {
			err = fmt.Errorf("its %s can't be had: %s", name, codeText(code))
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	if code := c.readData(contentType, data, encoded); code != 0 {
		return fmt.Errorf("its data can't be had: %s", codeText(code))
	}
	return nil
}

// replace writes a field where it differs.
func (c *call) replace(field uint32, is, want string) int32 {
	if is == want {
		return 0
	}
	return c.write(field, []byte(want))
}

// readData writes data, which is the text of a JSON value or base64, and its
// content type. Text stands as a JSON string.
func (c *call) readData(contentType, data []byte, encoded bool) int32 {
	if data == nil {
		return c.replaceType(contentType)
	}
	view, ok := c.jsonView()
	switch {
	case encoded:
		decoded, err := base64.StdEncoding.DecodeString(string(data))
		if err != nil {
			return codeMalformed
		}
		data = decoded
	case ok && bytes.Equal(view, data) && contentType == nil:
		return 0
	case event.IsJSON(c.msg.ContentType) && contentType == nil:
	case contentType == nil || !event.IsJSON(string(contentType)):
		text, isString := rawjson.Unquote(data)
		if isString {
			data = []byte(text)
		} else if contentType == nil {
			contentType = []byte("application/json")
		}
	}
	if bytes.Equal(data, c.msg.Data) {
		return c.replaceType(contentType)
	}
	// The content type and the data must agree at every step.
	if event.IsJSON(c.msg.ContentType) && contentType != nil {
		if code := c.replaceType([]byte("text/plain")); code != 0 {
			return code
		}
	}
	if code := c.write(fieldData, data); code != 0 {
		return code
	}
	return c.replaceType(contentType)
}

func (c *call) replaceType(contentType []byte) int32 {
	if contentType == nil {
		return 0
	}
	return c.replace(fieldContentType, c.msg.ContentType, string(contentType))
}

// readHeader makes the headers those of a JSON object of strings.
func (c *call) readHeader(object []byte) (code int32) {
	if rawjson.KindOf(object) != rawjson.Object {
		return codeMalformed
	}
	written := map[string]bool{}
	rawjson.EachMember(object, func(key, value []byte) bool {
		name, _ := rawjson.Unquote(key)
		text, isString := rawjson.Unquote(value)
		if !isString {
			code = codeMalformed
			return false
		}
		written[strings.ToLower(name)] = true
		if is, ok := c.msg.HeaderValue(name); !ok || is != text {
			code = c.setHeader(name, text)
		}
		return code == 0
	})
	for _, f := range c.input.Header {
		if code == 0 && !written[f.Name] {
			if _, ok := c.msg.HeaderValue(f.Name); ok {
				code = c.removeHeader(f.Name)
			}
		}
	}
	return code
}

func codeText(code int32) string {
	switch code {
	case codeNone:
		return "there is no such place"
	case codeMalformed:
		return "it is malformed"
	case codeForbidden:
		return "it is reserved"
	}
	return fmt.Sprintf("it is over the limit of %d bytes", MaxResultBytes)
}
