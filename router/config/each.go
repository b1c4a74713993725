package config

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/weirhq/weir/router/expr"
)

// maxInstances bounds the blocks that one for_each makes.
const maxInstances = 10000

// instances calls decode for a block, or, where it has for_each, for each of its
// instances: a copy whose name is regional.eu, while each is set.
func (l *loader) instances(b *hclsyntax.Block, decode func(*hclsyntax.Block)) {
	a := attribute(b, "for_each")
	if a == nil {
		decode(b)
		return
	}
	kind, name := b.Type, b.Labels[0]
	if l.repeated[kind] == nil {
		l.repeated[kind] = map[string]bool{}
	}
	l.repeated[kind][name] = true
	keys, values, ok := l.forEach(a)
	if !ok {
		l.incomplete[kind+"."+name] = true
		return
	}
	secret := l.touchesSecret(a.Expr)
	for i, key := range keys {
		instance := copied(b)
		instance.Labels = []string{name + "." + key}
		l.defined[kind][instance.Labels[0]] = b.LabelRanges[0]
		l.values.each = map[string]cty.Value{"key": cty.StringVal(key), "value": values[i]}
		l.values.secret["each.value"] = secret
		decode(instance)
	}
	l.values.each = nil
}

// copied is a block whose attributes can be taken away while the one in the file stays.
func copied(b *hclsyntax.Block) *hclsyntax.Block {
	c, body := *b, *b.Body
	body.Attributes = maps.Clone(body.Attributes)
	body.Blocks = slices.Clone(body.Blocks)
	for i, x := range body.Blocks {
		body.Blocks[i] = copied(x)
	}
	c.Body = &body
	return &c
}

// forEach gives the keys of a for_each in order, each with its value.
func (l *loader) forEach(a *hclsyntax.Attribute) (keys []string, list []cty.Value, ok bool) {
	v, ok := l.value(a)
	if !ok {
		return nil, nil, false
	}
	r := a.Expr.Range()
	ty := v.Type()
	const wanted = `an object, or a set of texts such as toset(["eu", "us"])`
	if v.IsNull() || !ty.IsObjectType() && !ty.IsMapType() && !ty.IsSetType() {
		l.wrongType(r, a.Name, wanted, v)
		return nil, nil, false
	}
	if ty.IsSetType() && v.LengthInt() > 0 && ty.ElementType() != cty.String {
		l.wrongType(r, a.Name, wanted, v)
		return nil, nil, false
	}
	if v.LengthInt() > maxInstances {
		l.fail(r, "Out of range", "A for_each makes at most %d blocks.", maxInstances)
		return nil, nil, false
	}
	byKey := map[string]cty.Value{}
	for it := v.ElementIterator(); it.Next(); {
		k, x := it.Element()
		if ty.IsSetType() {
			if k = x; x.IsNull() {
				l.wrongType(r, a.Name, wanted, x)
				return nil, nil, false
			}
		}
		key := k.AsString()
		if !validKey(key) {
			l.fail(r, "Invalid key", "The keys of a for_each become a part of names: letters, digits, \"_\" and \"-\", at most %d.", maxNameSize)
			return nil, nil, false
		}
		byKey[key] = x
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, k := range keys {
		list = append(list, byKey[k])
	}
	return keys, list, true
}

func validKey(s string) bool {
	if s == "" || len(s) > maxNameSize {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// instanceName turns the reference regional["eu"] into the name regional.eu. e is
// the whole expression. The error is told.
func (l *loader) instanceName(at hcl.Range, kind, name string, key cty.Value) (string, bool) {
	if !l.repeated[kind][name] {
		if _, known := l.defined[kind][name]; known || !l.broken {
			l.fail(at, "Not a for_each", "The %s %q is one block, without for_each: write %s.%s.", kind, name, kind, name)
		}
		return "", false
	}
	if key.IsNull() || key.Type() != cty.String {
		l.fail(at, "Invalid reference", "The key of an instance is a text: %s.%s[\"key\"].", kind, name)
		return "", false
	}
	if l.incomplete[kind+"."+name] {
		return "", false // what is wrong with its for_each is told
	}
	full := name + "." + key.AsString()
	if _, known := l.defined[kind][full]; !known {
		var keys []string
		for n := range l.defined[kind] {
			if k, ok := strings.CutPrefix(n, name+"."); ok {
				keys = append(keys, k)
			}
		}
		sort.Strings(keys)
		hint := expr.DidYouMean(key.AsString(), keys)
		if hint == "" && len(keys) > 0 && len(keys) <= 8 {
			hint = ` There is "` + strings.Join(keys, `", "`) + `".`
		}
		l.fail(at, "Unknown "+kind, "There is no %s.%s[%q].%s", kind, name, key.AsString(), hint)
		return "", false
	}
	return full, true
}

// bound replaces var, local and each in an expression that runs on events by
// their values, which are fixed at load. It returns the expression and its text.
// ok is false where something is wrong, which is told.
func (l *loader) bound(a *hclsyntax.Attribute) (e hclsyntax.Expression, text []byte, ok bool) {
	file, r := l.sources[a.SrcRange.Filename], a.Expr.Range()
	var named []hcl.Traversal
	for _, t := range a.Expr.Variables() {
		if isValueRoot(t.RootName()) {
			named = append(named, t)
		}
	}
	if len(named) == 0 || !r.CanSliceBytes(file) {
		return a.Expr, file, true
	}
	sort.Slice(named, func(i, j int) bool { return named[i].SourceRange().Start.Byte < named[j].SourceRange().Start.Byte })
	var out []byte
	done := r.Start.Byte
	for _, t := range named {
		at := t.SourceRange()
		part := &hclsyntax.ScopeTraversalExpr{Traversal: t, SrcRange: at}
		if l.touchesSecret(part) {
			l.fail(at, "A secret in an expression", "Expressions on events are shown with their values. Keep secrets out of %q.", a.Name)
			return nil, nil, false
		}
		v, ok := l.evaluate(part, a.Name)
		if !ok {
			return nil, nil, false
		}
		out = append(out, file[done:at.Start.Byte]...)
		literal := hclwrite.TokensForValue(v).Bytes()
		if len(literal) > 0 && literal[0] == '-' { // a minus may stand before it
			literal = append(append([]byte{'('}, literal...), ')')
		}
		out = append(out, literal...)
		done = at.End.Byte
	}
	out = append(out, file[done:r.End.Byte]...)
	e, diags := hclsyntax.ParseExpression(out, r.Filename, hcl.InitialPos)
	if diags.HasErrors() {
		l.fail(r, "Invalid expression", "With the values of var, local and each in their places this is no expression.")
		return nil, nil, false
	}
	return e, out, true
}
