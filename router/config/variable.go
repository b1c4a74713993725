package config

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/weirhq/weir/router/expr"
)

// VariablePrefix begins the names of environment variables that set variables.
const VariablePrefix = "WEIR_VAR_"

// values are what expressions that are evaluated at load may name beside
// functions: variables, locals, and each within a block of for_each.
type values struct {
	// variables and locals by name; a local is there once it is evaluated.
	variables, locals map[string]cty.Value
	// failed variables and locals have been told of.
	failed map[string]bool
	// secret ones, such as var.token, must not be shown, neither must what is made
	// of them.
	secret map[string]bool
	// written locals, which are evaluated when they are asked for.
	written map[string]*hclsyntax.Attribute
	// under evaluation, to find circles.
	under []string
	// each is nil outside of a block of for_each.
	each map[string]cty.Value
}

func newValues() values {
	return values{
		variables: map[string]cty.Value{}, locals: map[string]cty.Value{}, failed: map[string]bool{},
		secret: map[string]bool{}, written: map[string]*hclsyntax.Attribute{},
	}
}

// object is what stands behind var, local or each.
func (v *values) object(root string) cty.Value {
	switch root {
	case "var":
		return cty.ObjectVal(v.variables)
	case "local":
		return cty.ObjectVal(v.locals)
	}
	return cty.ObjectVal(v.each)
}

func isValueRoot(root string) bool { return root == "var" || root == "local" || root == "each" }

// decodeVariables reads variable blocks and finds their values: --var, else the
// environment, else the default.
func (l *loader) decodeVariables() {
	for _, b := range l.named("variable") {
		name := b.Labels[0]
		v, ok := l.variable(b)
		if !ok {
			l.values.failed["var."+name] = true
			continue
		}
		l.values.variables[name] = v
		if !l.values.secret["var."+name] { // a hash of a short secret can be guessed
			if j, err := ctyjson.Marshal(v, v.Type()); err == nil {
				l.digest("var."+name, j)
			}
		}
	}
	given := make([]string, 0, len(l.opts.Vars))
	for name := range l.opts.Vars {
		given = append(given, name)
	}
	sort.Strings(given)
	for _, name := range given {
		if _, known := l.defined["variable"][name]; !known && !l.broken {
			l.report.add(&hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Unknown variable",
				Detail: fmt.Sprintf("A value is given for the variable %q (--var), and there is no variable block of that name.%s", name, expr.DidYouMean(name, l.names("variable"))),
			})
		}
	}
}

// valueType is a variable's type, with what its optional attributes are where they
// are left out.
type valueType struct {
	cty.Type
	defaults *typeexpr.Defaults
}

func (l *loader) variable(b *hclsyntax.Block) (cty.Value, bool) {
	name := b.Labels[0]
	l.check(b.Body, variableSchema, "variable")
	if a := attribute(b, "description"); a != nil {
		l.text(a)
	}
	if isSecret(name) || l.boolean(attribute(b, "sensitive"), false) {
		l.values.secret["var."+name] = true
	}
	ty := valueType{Type: cty.DynamicPseudoType}
	if a := attribute(b, "type"); a != nil {
		t, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.Expr)
		for _, d := range diags {
			l.report.add(d)
		}
		if diags.HasErrors() {
			return cty.NilVal, false
		}
		ty = valueType{t, defaults}
	}
	var fallback cty.Value
	if a := attribute(b, "default"); a != nil {
		for _, t := range a.Expr.Variables() {
			if isValueRoot(t.RootName()) {
				l.fail(t.SourceRange(), "Unexpected reference", "The default of a variable can't refer to others. Use locals for what is made of them.")
				return cty.NilVal, false
			}
		}
		v, ok := l.value(a)
		if !ok {
			return cty.NilVal, false
		}
		if v, ok = l.converted(v, ty, a.Expr.Range(), name); !ok {
			return cty.NilVal, false
		}
		fallback = v
	}
	text, given := l.opts.Vars[name]
	if !given {
		text, given = l.opts.LookupEnv(VariablePrefix + name)
	}
	switch {
	case given:
		return l.givenValue(text, ty, b, name)
	case fallback != cty.NilVal:
		return fallback, true
	case l.opts.ToAsk:
		return emptyValue(ty.Type), true
	}
	l.fail(b.DefRange(), "Variable has no value", "Set it with --var %s=... or the environment variable %s%s, or give it a default.", name, VariablePrefix, name)
	return cty.NilVal, false
}

// givenValue reads what --var or the environment gives: the text itself where a
// text, a number or a bool is asked for, else an expression of HCL. That is
// Terraform's rule.
func (l *loader) givenValue(text string, ty valueType, b *hclsyntax.Block, name string) (cty.Value, bool) {
	v := cty.StringVal(text)
	if ty.Type != cty.DynamicPseudoType && !ty.IsPrimitiveType() {
		e, diags := hclsyntax.ParseExpression([]byte(text), "", hcl.InitialPos)
		if !diags.HasErrors() && costly([]byte(text), "") == nil && len(e.Variables()) == 0 {
			v, diags = e.Value(nil)
		}
		if diags.HasErrors() || v.Type() == cty.String {
			l.fail(b.DefRange(), "Value can't be read", "What is given for the variable %q must be a value as HCL writes it, such as [\"a\", \"b\"], because its type is %s.", name, typeexpr.TypeString(ty.Type))
			return cty.NilVal, false
		}
	}
	return l.converted(v, ty, b.DefRange(), name)
}

func (l *loader) converted(v cty.Value, ty valueType, r hcl.Range, name string) (cty.Value, bool) {
	if ty.defaults != nil && !v.IsNull() {
		v = ty.defaults.Apply(v)
	}
	out, err := convert.Convert(v, ty.Type)
	if err != nil {
		// The error's own words may hold the value.
		l.fail(r, "Wrong type", "The variable %q must be of the type %s, and this is %s.", name, typeexpr.TypeString(ty.Type), typeName(v.Type()))
		return cty.NilVal, false
	}
	return out, true
}

// emptyValue stands for one that is not set, see [Options.ToAsk].
func emptyValue(ty cty.Type) cty.Value {
	switch {
	case ty == cty.String || ty == cty.DynamicPseudoType:
		return cty.StringVal(unset)
	case ty == cty.Number:
		return cty.Zero
	case ty == cty.Bool:
		return cty.False
	case ty.IsListType():
		return cty.ListValEmpty(ty.ElementType())
	case ty.IsSetType():
		return cty.SetValEmpty(ty.ElementType())
	case ty.IsMapType():
		return cty.MapValEmpty(ty.ElementType())
	}
	return cty.NullVal(ty)
}

// decodeLocals notes what locals blocks hold, and evaluates all of it, so that
// mistakes are found in what nobody uses too.
func (l *loader) decodeLocals() {
	var names []string
	for _, b := range l.blocks("locals") {
		l.noLabels(b)
		for _, inner := range b.Body.Blocks {
			l.fail(inner.TypeRange, "Unexpected block", "A locals block holds names and values: %s = ...", inner.Type)
		}
		for name, a := range b.Body.Attributes {
			if first := l.values.written[name]; first != nil {
				l.fail(a.NameRange, "Second local", "A local with this name is at %s.", place(first.NameRange))
				continue
			}
			l.values.written[name] = a
			names = append(names, name)
		}
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := l.values.written[names[i]].NameRange, l.values.written[names[j]].NameRange
		if a.Filename != b.Filename {
			return a.Filename < b.Filename
		}
		return a.Start.Byte < b.Start.Byte
	})
	for _, name := range names {
		l.local(name)
	}
}

// local evaluates one, and what it refers to before it.
func (l *loader) local(name string) bool {
	v := &l.values
	key := "local." + name
	if v.failed[key] {
		return false
	}
	if _, done := v.locals[name]; done {
		return true
	}
	a := v.written[name]
	if slices.Contains(v.under, name) {
		l.fail(a.NameRange, "Circle of locals", "The local %q is made of itself: %s.", name, strings.Join(append(v.under, name), " from "))
		v.failed[key] = true
		return false
	}
	v.under = append(v.under, name)
	each := v.each
	v.each = nil // a local belongs to no block
	value, ok := l.value(a)
	v.each = each
	v.under = v.under[:len(v.under)-1]
	if isSecret(name) || l.touchesSecret(a.Expr) {
		v.secret[key] = true
	}
	if !ok {
		v.failed[key] = true
		return false
	}
	v.locals[name] = value
	return true
}

// errTold says that what is wrong has been told already.
var errTold = errors.New("told already")

// isValue says whether a variable, a local or a part of each is there.
func (l *loader) isValue(t hcl.Traversal) bool {
	if len(t) < 2 {
		return false
	}
	name, ok := step(t[1])
	switch {
	case !ok:
	case t.RootName() == "var":
		_, ok = l.values.variables[name]
	case t.RootName() == "local":
		ok = l.values.written[name] != nil && l.local(name)
	case t.RootName() == "each":
		_, ok = l.values.each[name]
	default:
		ok = false
	}
	return ok
}

// resolve makes sure that what a traversal names has a value. Its errors are told.
func (l *loader) resolve(t hcl.Traversal) error {
	root := t.RootName()
	at := t.SourceRange()
	if root == "each" && l.values.each == nil {
		l.fail(at, "No for_each here", "The name each belongs to blocks with for_each.")
		return errTold
	}
	name, ok := "", false
	if len(t) > 1 {
		name, ok = step(t[1])
	}
	if !ok {
		l.fail(at, "Incomplete reference", "Write which one is meant: %s.name.", root)
		return errTold
	}
	kind, names := "variable", l.names("variable")
	switch root {
	case "var":
		if l.values.failed["var."+name] {
			return errTold
		}
		if _, known := l.values.variables[name]; known {
			return nil
		}
	case "local":
		if l.values.written[name] != nil {
			if !l.local(name) {
				return errTold
			}
			return nil
		}
		kind, names = "local", names[:0]
		for n := range l.values.written {
			names = append(names, n)
		}
		sort.Strings(names)
	case "each":
		if _, known := l.values.each[name]; known {
			return nil
		}
		l.fail(at, "Unknown reference", "There are each.key and each.value, not each.%s.", name)
		return errTold
	}
	if !l.broken {
		l.fail(at, "Unknown "+kind, "There is no %s %q.%s", kind, name, expr.DidYouMean(name, names))
	}
	return errTold
}

// touchesSecret says whether a value is made of something that must not be shown.
func (l *loader) touchesSecret(e hclsyntax.Expression) bool {
	for _, t := range e.Variables() {
		if root := t.RootName(); isValueRoot(root) && len(t) > 1 {
			if name, ok := step(t[1]); ok && (l.values.secret[root+"."+name] || root != "each" && isSecret(name)) { // each.key is none
				return true
			}
			for _, s := range t[2:] {
				if name, ok := step(s); ok && isSecret(name) {
					return true
				}
			}
		}
	}
	return false
}
