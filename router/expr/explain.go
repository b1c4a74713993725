package expr

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Term is one of the parts of an expression that all must be true: its
// top-level operands of &&.
type Term struct {
	// Text is the term as it is written.
	Text string
	// OK says that it was true.
	OK bool
	// Err says why it could not be evaluated, else empty.
	Err string
	// Reason says in words why the term was not true, such as
	// "event.data.total is 80, not > 100". Empty where OK.
	Reason string
	// Values are the attributes that the term looks at, in the order of their
	// first appearance.
	Values []PathValue
}

// PathValue is an attribute and what it was.
type PathValue struct {
	// Path is the attribute as an expression would write it.
	Path string
	// JSON is its value, cut after [MaxExplainedValue] bytes, empty where there
	// is none.
	JSON string
}

// MaxExplainedValue is how many bytes of a value a [PathValue] shows.
const MaxExplainedValue = 1024

type term struct {
	text string
	rng  hcl.Range
	node node
}

// Explain evaluates each term by itself, also those behind the first that
// failed. It is for people and takes its time.
func (p *Program) Explain(in *Input) []Term {
	terms := make([]Term, len(p.terms))
	for i, t := range p.terms {
		out := Term{Text: t.text}
		var paths []*path
		walk(t.node, func(n node) {
			if q, ok := n.(*path); ok {
				paths = append(paths, q)
			}
		})
		seen := map[string]bool{}
		for _, q := range paths {
			if seen[q.text] {
				continue
			}
			seen[q.text] = true
			pv := PathValue{Path: q.text}
			if v, err := q.eval(in); err == nil {
				pv.JSON = clip(v.json())
			}
			out.Values = append(out.Values, pv)
		}
		v, err := t.node.eval(in)
		if err == nil {
			if len(p.terms) == 1 {
				out.OK, err = v.onlyBool()
			} else if out.OK, err = v.toBool(); err != nil {
				err = operandError(t.node, "&&", err)
			}
		}
		switch {
		case err != nil:
			out.OK = false
			out.Err = p.detailed(in, err).Error()
			out.Reason = out.Err
		case !out.OK:
			out.Reason = reason(t.node, in, out.Values)
		}
		terms[i] = out
	}
	return terms
}

func clip(s string) string {
	if len(s) <= MaxExplainedValue {
		return s
	}
	return strings.ToValidUTF8(s[:MaxExplainedValue], "") + "…"
}

// show is a value in a sentence: shorter than in a PathValue.
func show(n node, in *Input) string {
	v, err := n.eval(in)
	if err != nil {
		return err.Error()
	}
	s := v.json()
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// subject is how a sentence calls an operand.
func subject(n node) (string, bool) {
	switch n := n.(type) {
	case *path:
		return n.text, true
	case *call:
		var args []string
		for _, a := range n.args {
			if s, ok := subject(a); ok {
				args = append(args, s)
			} else if k, ok := a.(*constant); ok {
				args = append(args, k.value.json())
			} else {
				args = append(args, "…")
			}
		}
		return n.f.name + "(" + strings.Join(args, ", ") + ")", true
	}
	return "", false
}

// reason says why a term gave false.
func reason(n node, in *Input, values []PathValue) string {
	compare := func(left, right node, op string) (string, bool) {
		name, ok := subject(left)
		if !ok {
			return "", false
		}
		other := show(right, in)
		if s, ok := subject(right); ok {
			other = s + " (" + other + ")"
		}
		if op == "==" {
			return fmt.Sprintf("%s is %s, not %s", name, show(left, in), other), true
		}
		return fmt.Sprintf("%s is %s, not %s %s", name, show(left, in), op, other), true
	}
	switch n := n.(type) {
	case *order:
		if s, ok := compare(n.left, n.right, n.op); ok {
			return s
		}
	case *equality:
		if n.negate {
			if name, ok := subject(n.left); ok {
				return fmt.Sprintf("%s is %s", name, show(n.left, in))
			}
			break
		}
		if s, ok := compare(n.left, n.right, "=="); ok {
			return s
		}
		if s, ok := compare(n.right, n.left, "=="); ok { // "x" == event.type
			return s
		}
	case *path:
		return n.text + " is " + show(n, in)
	}
	if len(values) == 0 {
		return "it is always false"
	}
	parts := make([]string, len(values))
	for i, v := range values {
		if v.JSON == "" {
			parts[i] = v.Path + " is missing"
			continue
		}
		parts[i] = v.Path + " is " + v.JSON
	}
	return "false where " + strings.Join(parts, ", ")
}

// walk calls f for n and everything below it, in the order of the text.
func walk(n node, f func(node)) {
	f(n)
	for _, c := range children(n) {
		walk(c, f)
	}
}
