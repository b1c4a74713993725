package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// BodySchema is a JSON Schema that data must fit. It is safe for concurrent use.
type BodySchema struct {
	// Path is the schema's file.
	Path   string
	schema *jsonschema.Schema
}

// Misfit is one place where data does not fit a schema.
type Misfit struct {
	// Pointer is the place, as a JSON Pointer (RFC 6901). The empty one is all of
	// the data.
	Pointer string `json:"pointer"`
	Message string `json:"message"`
}

// maxMisfits is how many are told.
const maxMisfits = 10

// Check returns where data, which is valid JSON, does not fit: nothing where it
// does, and else up to ten places in order of their pointers.
func (s *BodySchema) Check(data []byte) ([]Misfit, error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read data for its schema: %w", err)
	}
	err = s.schema.Validate(v)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &invalid):
		return nil, fmt.Errorf("check data by its schema: %w", err)
	}
	list := misfits(nil, invalid)
	slices.SortStableFunc(list, func(a, b Misfit) int {
		return strings.Compare(a.Pointer+"\x00"+a.Message, b.Pointer+"\x00"+b.Message)
	})
	list = slices.Compact(list)
	return list[:min(len(list), maxMisfits)], nil
}

var english = message.NewPrinter(language.English)

// misfits appends the innermost causes of an error: those around them only say
// that something within does not fit.
func misfits(list []Misfit, e *jsonschema.ValidationError) []Misfit {
	if len(e.Causes) == 0 {
		text := e.ErrorKind.LocalizedString(english)
		if len(text) > maxMisfitSize {
			text = strings.ToValidUTF8(text[:maxMisfitSize], "") + "…"
		}
		return append(list, Misfit{Pointer: pointer(e.InstanceLocation), Message: text})
	}
	for _, c := range e.Causes {
		list = misfits(list, c)
	}
	return list
}

// maxMisfitSize bounds a message: it may repeat data.
const maxMisfitSize = 200

func pointer(path []string) string {
	var b strings.Builder
	for _, p := range path {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	return b.String()
}

// noLoader refuses references to other documents: a configuration holds all that
// it depends on.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("$ref leads to %s, and a schema can refer only to itself: put it into $defs", url)
}

// bodySchema reads the file of a JSON Schema.
func (l *loader) bodySchema(a *hclsyntax.Attribute) *BodySchema {
	name, ok := l.text(a)
	if !ok {
		return nil
	}
	r := a.Expr.Range()
	if name == "" {
		l.fail(r, "Empty path", "Write the file of the JSON Schema.")
		return nil
	}
	path := l.path(name, r)
	text, err := readFile(path, maxTextSize)
	if err != nil {
		if !l.opts.ToAsk {
			l.fail(r, "Schema can't be read", "%s", sentence(err.Error()))
		}
		return nil
	}
	l.digest(name, text)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		l.fail(r, "Not JSON", "%s is no JSON: %s", path, sentence(err.Error()))
		return nil
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	const self = "weir:///schema.json" // what relative references start from
	if err := c.AddResource(self, document); err != nil {
		l.fail(r, "Not a JSON Schema", "%s: %s", path, sentence(err.Error()))
		return nil
	}
	s, err := c.Compile(self)
	if err != nil {
		l.fail(r, "Not a JSON Schema", "%s: %s", path, sentence(schemaError(err)))
		return nil
	}
	return &BodySchema{Path: path, schema: s}
}

// schemaError says in one line what is wrong with a schema.
func schemaError(err error) string {
	var invalid *jsonschema.SchemaValidationError
	if !errors.As(err, &invalid) {
		return strings.Join(strings.Fields(err.Error()), " ")
	}
	var cause *jsonschema.ValidationError
	if errors.As(invalid.Err, &cause) {
		if list := misfits(nil, cause); len(list) > 0 {
			return fmt.Sprintf("at %q: %s", list[0].Pointer, list[0].Message)
		}
	}
	return "it is not valid by its own meta-schema"
}
