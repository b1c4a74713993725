package config

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// value evaluates an attribute whose value is fixed at load.
func (l *loader) value(a *hclsyntax.Attribute) (cty.Value, bool) { return l.evaluate(a.Expr, a.Name) }

func (l *loader) evaluate(e hclsyntax.Expression, name string) (cty.Value, bool) {
	known := true
	for _, t := range e.Variables() {
		root := t.RootName()
		r := t.SourceRange()
		switch root {
		case "local", "var", "each":
			known = l.resolve(t) == nil && known
			continue
		case "event", "body", "header", "query":
			l.fail(r, "No event here", "The value of %q is fixed when the configuration is loaded, before there is an event.", name)
		default:
			l.fail(r, "Unexpected reference", "The value of %q can't refer to other blocks. A text is written in quotes.", name)
		}
		known = false
	}
	if !known {
		return cty.NilVal, false
	}
	v, diags := e.Value(l.scope(e))
	for _, d := range diags {
		l.evaluationFailed(d, isSecret(name) || l.touchesSecret(e))
	}
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	if !v.IsWhollyKnown() {
		l.fail(e.Range(), "Unknown value", "The value of %q can't be computed.", name)
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	return v, true
}

// nullMeans are the attributes of which null is a value, or which are not evaluated when
// the configuration is loaded.
var nullMeans = []string{"when", "order_by", "type", "id", "subject", "tenant", "from", "to", "through", "for_each", "default"}

// isNull says whether the value of an attribute is null. What is wrong with it is left
// to whoever reads it.
func (l *loader) isNull(a *hclsyntax.Attribute) bool {
	if has(nullMeans, a.Name) || !mayBeNull(a.Expr) {
		return false
	}
	for _, t := range a.Expr.Variables() {
		if !l.isValue(t) {
			return false
		}
	}
	v, diags := a.Expr.Value(l.scope(a.Expr))
	if diags.HasErrors() {
		return false
	}
	v, _ = v.UnmarkDeep()
	return v.IsNull()
}

// mayBeNull is true for what names another value, or null itself.
func mayBeNull(e hclsyntax.Expression) bool {
	found := len(e.Variables()) > 0
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics { // nothing to diagnose
		literal, ok := n.(*hclsyntax.LiteralValueExpr)
		found = found || ok && literal.Val.IsNull()
		return nil
	})
	return found
}

// scope is what an expression sees that is evaluated at load, once the values that it
// names are there.
func (l *loader) scope(e hclsyntax.Expression) *hcl.EvalContext {
	scope := l.context(e.Range())
	roots := e.Variables()
	if len(roots) == 0 {
		return scope
	}
	scope = scope.NewChild()
	scope.Variables = map[string]cty.Value{}
	for _, t := range roots {
		scope.Variables[t.RootName()] = l.values.object(t.RootName())
	}
	return scope
}

// evaluationFailed passes on what HCL says, without what could show a value.
func (l *loader) evaluationFailed(d *hcl.Diagnostic, secret bool) {
	plain := &hcl.Diagnostic{Severity: d.Severity, Summary: d.Summary, Detail: d.Detail, Subject: d.Subject, Context: d.Context}
	if extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); ok {
		if err := extra.FunctionCallError(); err != nil {
			var ours *loadError
			switch {
			case errors.As(err, &ours):
				plain.Summary, plain.Detail = ours.summary, sentence(ours.detail)
				plain.Context = nil
			case secret:
				plain.Detail = fmt.Sprintf("The call of %s failed. What it says is not shown, because it may hold the secret.", extra.CalledFunctionName())
			default:
				plain.Detail = sentence(err.Error())
			}
		}
	}
	l.report.add(plain)
}

func (l *loader) wrongType(r hcl.Range, name, wanted string, v cty.Value) {
	got := "null"
	if !v.IsNull() {
		got = typeName(v.Type())
	}
	l.fail(r, "Wrong type", "The value of %q must be %s, and this is %s.", name, wanted, got)
}

func typeName(t cty.Type) string {
	switch {
	case t == cty.String:
		return "a text"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsTupleType(), t.IsListType(), t.IsSetType():
		return "a list"
	}
	return "an object"
}

func (l *loader) text(a *hclsyntax.Attribute) (string, bool) { return l.textOf(a.Expr, a.Name) }

func (l *loader) textOf(e hclsyntax.Expression, name string) (string, bool) {
	v, ok := l.evaluate(e, name)
	if !ok {
		return "", false
	}
	if v.IsNull() || v.Type() != cty.String {
		l.wrongType(e.Range(), name, "a text in quotes", v)
		return "", false
	}
	return v.AsString(), true
}

func (l *loader) boolean(a *hclsyntax.Attribute, fallback bool) bool {
	if a == nil {
		return fallback
	}
	v, ok := l.value(a)
	if !ok {
		return fallback
	}
	if v.IsNull() || v.Type() != cty.Bool {
		l.wrongType(a.Expr.Range(), a.Name, "true or false", v)
		return fallback
	}
	return v.True()
}

// number reads a number from least to most.
func (l *loader) number(a *hclsyntax.Attribute, fallback, least, most float64) float64 {
	if a == nil {
		return fallback
	}
	v, ok := l.value(a)
	if !ok {
		return fallback
	}
	if v.IsNull() || v.Type() != cty.Number {
		l.wrongType(a.Expr.Range(), a.Name, "a number", v)
		return fallback
	}
	f, _ := v.AsBigFloat().Float64()
	if f < least || f > most {
		l.fail(a.Expr.Range(), "Out of range", "The value of %q must be from %v to %v.", a.Name, least, most)
		return fallback
	}
	return f
}

func (l *loader) integer(a *hclsyntax.Attribute, fallback, least, most int) int {
	if a == nil {
		return fallback
	}
	v, ok := l.value(a)
	if !ok {
		return fallback
	}
	if v.IsNull() || v.Type() != cty.Number {
		l.wrongType(a.Expr.Range(), a.Name, "a whole number", v)
		return fallback
	}
	n, acc := v.AsBigFloat().Int64()
	if acc != big.Exact || n < int64(least) || n > int64(most) {
		l.fail(a.Expr.Range(), "Out of range", "The value of %q must be a whole number from %d to %d.", a.Name, least, most)
		return fallback
	}
	return int(n)
}

// duration reads a time span from least to most; most 0 means any.
func (l *loader) duration(a *hclsyntax.Attribute, fallback, least, most time.Duration) time.Duration {
	if a == nil {
		return fallback
	}
	return l.durationOf(a.Expr, a.Name, fallback, least, most)
}

func (l *loader) durationOf(e hclsyntax.Expression, name string, fallback, least, most time.Duration) time.Duration {
	v, ok := l.evaluate(e, name)
	if !ok {
		return fallback
	}
	return l.durationValue(v, e.Range(), name, fallback, least, most)
}

func (l *loader) durationValue(v cty.Value, r hcl.Range, name string, fallback, least, most time.Duration) time.Duration {
	if v.IsNull() || v.Type() != cty.String {
		l.wrongType(r, name, `a time span such as "90s" or "7d"`, v)
		return fallback
	}
	d, err := ParseDuration(v.AsString())
	if err != nil {
		l.fail(r, "Not a time span", "%s", sentence(err.Error()))
		return fallback
	}
	switch {
	case d < least:
		l.fail(r, "Out of range", "The value of %q must be at least %q.", name, FormatDuration(least))
		return fallback
	case most > 0 && d > most:
		l.fail(r, "Out of range", "The value of %q must be at most %q.", name, FormatDuration(most))
		return fallback
	}
	return d
}

// size reads a number of bytes from least to most.
func (l *loader) size(a *hclsyntax.Attribute, fallback, least, most int64) int64 {
	if a == nil {
		return fallback
	}
	v, ok := l.value(a)
	if !ok {
		return fallback
	}
	r := a.Expr.Range()
	if v.IsNull() || v.Type() != cty.String {
		l.wrongType(r, a.Name, `a size such as "512KiB" or "1MiB"`, v)
		return fallback
	}
	n, err := ParseSize(v.AsString())
	if err != nil {
		l.fail(r, "Not a size", "%s", sentence(err.Error()))
		return fallback
	}
	if n < least || n > most {
		l.fail(r, "Out of range", "The value of %q must be from %q to %q.", a.Name, FormatSize(least), FormatSize(most))
		return fallback
	}
	return n
}

// items evaluates a list and returns its elements, each with the place where it
// is written (the list's, where it is computed).
func (l *loader) items(a *hclsyntax.Attribute, wanted string) ([]cty.Value, []hcl.Range, bool) {
	if t, ok := a.Expr.(*hclsyntax.TupleConsExpr); ok {
		var values []cty.Value
		var ranges []hcl.Range
		good := true
		for _, e := range t.Exprs {
			v, ok := l.evaluate(e, a.Name)
			if !ok {
				good = false
				continue
			}
			values, ranges = append(values, v), append(ranges, e.Range())
		}
		return values, ranges, good
	}
	v, ok := l.value(a)
	if !ok {
		return nil, nil, false
	}
	ty := v.Type()
	if v.IsNull() || !ty.IsTupleType() && !ty.IsListType() && !ty.IsSetType() {
		l.wrongType(a.Expr.Range(), a.Name, wanted, v)
		return nil, nil, false
	}
	var values []cty.Value
	var ranges []hcl.Range
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		values, ranges = append(values, e), append(ranges, a.Expr.Range())
	}
	return values, ranges, true
}

// secret reads one secret value.
func (l *loader) secretValue(v cty.Value, r hcl.Range, name string) (Secret, bool) {
	if v.IsNull() || v.Type() != cty.String {
		l.wrongType(r, name, "a text", v)
		return "", false
	}
	s := v.AsString()
	if s == "" {
		l.fail(r, "Empty secret", "The secret is empty. Set it, or leave %q out if nothing is to be signed or verified.", name)
		return "", false
	}
	if strings.TrimSpace(s) != s {
		l.warn(r, "White space around a secret", "The secret begins or ends with white space, which counts. If it comes from a file, write trimspace(file(...)).")
	}
	return Secret(s), true
}

func (l *loader) secret(a *hclsyntax.Attribute) Secret {
	v, ok := l.value(a)
	if !ok {
		return ""
	}
	s, _ := l.secretValue(v, a.Expr.Range(), a.Name)
	return s
}

func (l *loader) secrets(a *hclsyntax.Attribute) []Secret {
	values, ranges, _ := l.items(a, `a list of secrets, such as [env("SECRET")]`)
	var list []Secret
	for i, v := range values {
		if s, ok := l.secretValue(v, ranges[i], a.Name); ok {
			list = append(list, s)
		}
	}
	if values != nil && len(values) == 0 || isEmptyTuple(a.Expr) {
		l.fail(a.Expr.Range(), "Empty list", "There must be at least one secret.")
	}
	return list
}

func isEmptyTuple(e hclsyntax.Expression) bool {
	t, ok := e.(*hclsyntax.TupleConsExpr)
	return ok && len(t.Exprs) == 0
}

var durationUnits = []struct {
	name string
	unit time.Duration
}{
	{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour},
}

// ParseDuration reads a time span: numbers with the units ms, s, m, h and d
// (24 hours), such as "90s", "7d" or "1h30m".
func ParseDuration(s string) (time.Duration, error) {
	rest := s
	var total float64
	for rest != "" {
		n := 0
		for n < len(rest) && (rest[n] >= '0' && rest[n] <= '9' || rest[n] == '.') {
			n++
		}
		f, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil {
			return 0, fmt.Errorf(`%q is not a time span; write it like "90s", "5m" or "7d"`, s)
		}
		rest = rest[n:]
		n = 0
		for n < len(rest) && rest[n] >= 'a' && rest[n] <= 'z' {
			n++
		}
		found := false
		for _, u := range durationUnits {
			if rest[:n] == u.name {
				total += f * float64(u.unit)
				found = true
			}
		}
		if !found {
			return 0, fmt.Errorf(`%q is not a time span; the units are ms, s, m, h and d`, s)
		}
		rest = rest[n:]
	}
	if s == "" {
		return 0, fmt.Errorf(`a time span is empty; write it like "90s" or "7d"`)
	}
	if total > float64(100*365*24*time.Hour) {
		return 0, fmt.Errorf("%q is more than a hundred years", s)
	}
	return time.Duration(total), nil
}

// FormatDuration writes d as [ParseDuration] reads it.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	for i := len(durationUnits) - 1; i >= 0; i-- {
		u := durationUnits[i]
		if n := d / u.unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.unit
		}
	}
	return b.String()
}

var sizeUnits = []struct {
	name string
	unit int64
}{
	{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
}

// ParseSize reads a number of bytes with its unit, such as "512KiB", "1MiB" or
// "1.5GiB".
func ParseSize(s string) (int64, error) {
	n := 0
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '.') {
		n++
	}
	f, err := strconv.ParseFloat(s[:n], 64)
	for _, u := range sizeUnits {
		if err == nil && strings.TrimSpace(s[n:]) == u.name {
			if f*float64(u.unit) > 1<<60 {
				return 0, fmt.Errorf("%q is too large", s)
			}
			return int64(f * float64(u.unit)), nil
		}
	}
	return 0, fmt.Errorf(`%q is not a size; write it like "512KiB", "1MiB" or "2GiB"`, s)
}

// FormatSize writes n with the largest unit that divides it.
func FormatSize(n int64) string {
	for i := 4; i > 0; i-- {
		if u := sizeUnits[i]; n >= u.unit && n%u.unit == 0 {
			return fmt.Sprintf("%d%s", n/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}
