package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/weirhq/weir/router/expr"
)

func (l *loader) decodeRoute(b *hclsyntax.Block) {
	r := &Route{Name: b.Labels[0], Range: b.DefRange()}
	l.check(b.Body, routeSchema, "route")
	if a := attribute(b, "from"); a != nil {
		seen := map[string]bool{}
		for _, x := range l.references(a, "source") {
			if seen[x.name] {
				l.fail(x.at, "Named twice", "The source %q is in the list already.", x.name)
				continue
			}
			seen[x.name] = true
			r.From = append(r.From, x.name)
		}
	}
	if a := attribute(b, "events"); a != nil {
		r.Events = l.patterns(a)
	}
	r.When = l.program(b, "when", expr.EventScope)
	if a := attribute(b, "when"); a != nil && r.When != nil {
		l.condition(a)
	}
	if a := attribute(b, "through"); a != nil {
		if t, ok := a.Expr.(*hclsyntax.TupleConsExpr); !ok || len(t.Exprs) > 0 { // no plugins is a fine list
			for _, x := range l.references(a, "plugin") {
				if p := l.pluginBlocks[x.name]; p != nil {
					r.Through = append(r.Through, p)
				}
			}
		}
	}
	if a := attribute(b, "to"); a != nil {
		seen := map[string]bool{}
		for _, x := range l.references(a, "destination") {
			if seen[x.name] {
				l.fail(x.at, "Named twice", "The destination %q is in the list already.", x.name)
				continue
			}
			seen[x.name] = true
			if d := l.destinationBlocks[x.name]; d != nil {
				r.To = append(r.To, d)
			}
		}
	} else {
		l.missing(b, "to", "to = [destination.name]")
	}
	r.Fallback = l.boolean(attribute(b, "fallback"), false)
	if l.defined["route"][r.Name] == b.LabelRanges[0] { // not a second one
		l.config.Routes = append(l.config.Routes, r)
	}
}

// condition refuses what can never be true or false, such as a condition in
// quotes: the route would never match, and nobody would say why.
func (l *loader) condition(a *hclsyntax.Attribute) {
	if is := noCondition(a.Expr); is != "" {
		l.fail(a.Expr.Range(), "Not a condition", "A when must be true or false. This is %s.", is)
	}
}

// noCondition says what e is where it can never be true or false, else nothing.
func noCondition(e hclsyntax.Expression) (is string) {
	for {
		p, ok := e.(*hclsyntax.ParenthesesExpr)
		if !ok {
			break
		}
		e = p.Expression
	}
	switch e := e.(type) {
	case *hclsyntax.TemplateExpr:
		is = "a text: write it without the quotes"
	case *hclsyntax.TupleConsExpr:
		is = "a list"
	case *hclsyntax.ObjectConsExpr:
		is = "an object"
	case *hclsyntax.LiteralValueExpr:
		if e.Val.Type() != cty.Bool {
			is = "no condition"
		}
	case *hclsyntax.BinaryOpExpr:
		if e.Op.Type != cty.Bool {
			is = "a number: compare it with something"
		}
	case *hclsyntax.UnaryOpExpr:
		if e.Op.Type != cty.Bool {
			is = "a number: compare it with something"
		}
	}
	return is
}

// ParseCondition compiles a condition from its text alone, such as the filter of a
// registered webhook. The error says what is wrong with it, in words that may be
// shown to its author.
func ParseCondition(text string) (*expr.Program, error) {
	if d := costly([]byte(text), ""); d != nil {
		return nil, errors.New(lower(d.Summary) + ": " + d.Detail)
	}
	e, diags := hclsyntax.ParseExpression([]byte(text), "", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, said(diags)
	}
	if is := noCondition(e); is != "" {
		return nil, fmt.Errorf("a condition must be true or false, and this is %s", is)
	}
	p, diags := expr.Compile(e, expr.EventScope)
	if diags.HasErrors() {
		return nil, said(diags)
	}
	return p.WithSource([]byte(text), e.Range()), nil
}

// said is the first error of diagnostics in one line.
func said(diags hcl.Diagnostics) error {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		at := ""
		if d.Subject != nil {
			at = fmt.Sprintf(" (at character %d)", d.Subject.Start.Byte+1)
		}
		return fmt.Errorf("%s%s: %s", lower(d.Summary), at, d.Detail)
	}
	return diags
}

func lower(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// patterns reads the types that a route takes.
func (l *loader) patterns(a *hclsyntax.Attribute) []string {
	values, ranges, ok := l.items(a, `a list of types, such as ["order.*"]`)
	if ok && len(values) == 0 {
		l.fail(a.Expr.Range(), "Empty list", `The list %q must have at least one type, or be left out for all.`, a.Name)
	}
	var list []string
	for i, v := range values {
		switch {
		case v.IsNull() || v.Type() != cty.String:
			l.wrongType(ranges[i], a.Name, `a list of types, such as ["order.*"]`, v)
		case v.AsString() == "":
			l.fail(ranges[i], "Empty type", `No event has an empty type. "*" takes all.`)
		case strings.ContainsFunc(v.AsString(), func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }):
			l.fail(ranges[i], "White space in a type", "No event has a type with white space or control characters in it.")
		default:
			list = append(list, v.AsString())
		}
	}
	return list
}
