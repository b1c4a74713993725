// Package expr runs the expressions of a configuration: a route's when, a
// source's type, id and subject. An expression is compiled once, from HCL's
// syntax tree to closures over the raw JSON of an event, so that evaluating it
// neither decodes the event nor allocates in the common case.
//
// Invariants:
//   - The language is closed: operators, literals, indexes, conditionals,
//     templates and the functions of [Functions]. All else is refused by
//     [Compile], with its place.
//   - The meaning is HCL's. Where it is not, the case is listed at [Compile].
//   - A Program is immutable and safe for concurrent use. An [Input] belongs to
//     one goroutine at a time, and what it points at must not change meanwhile.
//   - Results never share memory with the input.
//   - Evaluation never panics and its work is bounded by the size of expression
//     and input.
package expr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Scope says which roots an expression may use.
type Scope int

const (
	// SourceScope is that of a source: body (the JSON view of the request's
	// body), header (lower-case names) and query.
	SourceScope Scope = iota
	// EventScope is that of a route: event, with the members id, type, source,
	// subject, time, tenant, header and data.
	EventScope
)

// Program is a compiled expression.
type Program struct {
	source string
	root   node
	terms  []term
	// matches are all calls of regex, patterns adds up their instructions.
	matches  []*match
	patterns int
}

// PatternSize is how many instructions the patterns of all calls of regex have
// together, which is what they take of memory and, for each byte that they look at,
// of time.
func (p *Program) PatternSize() int { return p.patterns }

// BoundPatterns lets regex fail on a text so long that the patterns of p could need
// more than a number of steps for it: their instructions times its bytes. It is for
// expressions of strangers, and is called before p is used.
func (p *Program) BoundPatterns(steps int) {
	for _, m := range p.matches {
		m.most = max(1, steps/max(1, p.patterns))
	}
}

// Compile checks e and compiles it. Diagnostics have the place of what is
// wrong.
//
// It differs from HCL's own evaluation in these points: the side of && and ||
// that is not needed is not evaluated, and neither is the branch of a
// conditional that is not taken, so their types need not agree; decimal
// fractions are exact (0.1 + 0.2 == 0.3); length also takes objects and
// strings; a number that would need more than a thousand digits as text is an
// error.
func Compile(e hcl.Expression, s Scope) (*Program, hcl.Diagnostics) {
	syntax, ok := e.(hclsyntax.Expression)
	if !ok {
		r := e.Range()
		return nil, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "Expression in JSON syntax",
			Detail:   "Expressions that run on events must be written in HCL's own syntax.",
			Subject:  &r,
		}}
	}
	c := &compiler{scope: s}
	root := c.compile(syntax)
	if c.diags.HasErrors() {
		return nil, c.diags
	}
	p := &Program{root: root, patterns: c.patterns}
	p.terms = c.terms(syntax)
	p.matches = c.matches
	return p, c.diags
}

// Parse compiles an expression from its text alone.
func Parse(text string, s Scope) (*Program, error) {
	e, diags := hclsyntax.ParseExpression([]byte(text), "", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	p, diags := Compile(e, s)
	if diags.HasErrors() {
		return nil, diags
	}
	return p.WithSource([]byte(text), e.Range()), nil
}

// WithSource returns p with the text that it was compiled from, for messages
// and [Program.Explain]. file holds the bytes that the expression's ranges
// refer to.
func (p *Program) WithSource(file []byte, r hcl.Range) *Program {
	q := *p
	q.source = sourceText(file, r)
	q.terms = append([]term(nil), p.terms...)
	for i := range q.terms {
		q.terms[i].text = sourceText(file, q.terms[i].rng)
	}
	return &q
}

func sourceText(file []byte, r hcl.Range) string {
	if !r.CanSliceBytes(file) {
		return ""
	}
	return strings.TrimSpace(string(r.SliceBytes(file)))
}

// Source returns the text of the expression, empty where it is not known.
func (p *Program) Source() string { return p.source }

// Bool evaluates the expression to true or false. Anything else is an error,
// null and the text "true" too.
func (p *Program) Bool(in *Input) (bool, error) {
	v, err := p.root.eval(in)
	if err != nil {
		return false, err
	}
	return v.onlyBool()
}

// String evaluates the expression to text. A number or bool is converted as HCL
// templates do; null, a list, an object and anything missing is an error.
func (p *Program) String(in *Input) (string, error) {
	v, err := p.root.eval(in)
	if err != nil {
		return "", p.detailed(in, err)
	}
	s, err := v.toText()
	if err != nil {
		return "", err
	}
	return strings.Clone(s), nil
}

// detailed says of a missing attribute how far its path leads.
func (p *Program) detailed(in *Input, err error) error {
	var m *missingError
	if errors.As(err, &m) {
		if reason := m.path.reason(in); reason != "" {
			return fmt.Errorf("%s: %s: %w", m.path.text, reason, ErrMissing)
		}
	}
	return err
}
