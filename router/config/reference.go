package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/weirhq/weir/router/expr"
)

// reference is a name that a route mentions, and where.
type reference struct {
	name string
	at   hcl.Range
}

// references reads a list such as [destination.crm]. It says what is wrong with
// each, and returns those that name a block of the kind.
func (l *loader) references(a *hclsyntax.Attribute, kind string) []reference {
	t, ok := a.Expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		if r, ok := l.reference(a.Expr, kind, false); ok {
			l.fail(a.Expr.Range(), "Not a list", "The value of %q is a list: write [%s.%s].", a.Name, kind, r.name)
		} else if !isReference(a.Expr) {
			l.fail(a.Expr.Range(), "Not a list of references", "The value of %q is a list of references, such as [%s.name].", a.Name, kind)
		}
		return nil
	}
	if len(t.Exprs) == 0 {
		l.fail(a.Expr.Range(), "Empty list", "The list %q must name at least one %s, or be left out.", a.Name, kind)
	}
	var list []reference
	for _, e := range t.Exprs {
		if r, ok := l.reference(e, kind, true); ok {
			list = append(list, r)
		}
	}
	return list
}

// isReference says whether e looks like kind.name, whose mistakes are told
// already.
func isReference(e hclsyntax.Expression) bool {
	_, ok := e.(*hclsyntax.ScopeTraversalExpr)
	return ok
}

func (l *loader) reference(e hclsyntax.Expression, kind string, list bool) (reference, bool) {
	at := e.Range()
	if index, ok := e.(*hclsyntax.IndexExpr); ok { // regional[each.key]
		if t, ok := index.Collection.(*hclsyntax.ScopeTraversalExpr); ok && t.Traversal.RootName() == kind && len(t.Traversal) == 2 {
			name, named := step(t.Traversal[1])
			key, ok := l.evaluate(index.Key, name)
			if !named || !ok {
				return reference{}, false
			}
			full, ok := l.instanceName(at, kind, name, key)
			return reference{name: full, at: at}, ok
		}
	}
	t, ok := e.(*hclsyntax.ScopeTraversalExpr)
	if !ok {
		if list || isText(e) {
			hint := fmt.Sprintf("Write %s.name.", kind)
			if name := textIn(e, kind); name != "" {
				hint = fmt.Sprintf("Write %s.%s, without quotes.", kind, name)
			}
			l.fail(at, "Not a reference", "Other blocks are named by reference, never by a text. %s", hint)
		}
		return reference{}, false
	}
	root := t.Traversal.RootName()
	if root != kind {
		switch {
		case has(topSchema.blocks, root):
			l.fail(at, "Wrong kind of block", "Only a %s can stand here, not a %s.", kind, root)
		default:
			hint := expr.DidYouMean(root, []string{kind})
			if hint == "" {
				hint = fmt.Sprintf(" Write %s.%s.", kind, root)
			}
			l.fail(at, "Unknown reference", "There is nothing called %q.%s", root, hint)
		}
		return reference{}, false
	}
	if len(t.Traversal) == 1 {
		l.fail(at, "Incomplete reference", "Write which %s is meant: %s.name.", kind, kind)
		return reference{}, false
	}
	name, ok := step(t.Traversal[1])
	if !ok {
		l.fail(at, "Invalid reference", "Write %s.name.", kind)
		return reference{}, false
	}
	if len(t.Traversal) > 2 {
		if index, ok := t.Traversal[2].(hcl.TraverseIndex); ok && len(t.Traversal) == 3 {
			full, ok := l.instanceName(at, kind, name, index.Key)
			return reference{name: full, at: at}, ok
		} else if l.repeated[kind][name] {
			l.fail(at, "Invalid reference", "One of the blocks of %s.%s is written with its key in brackets: %s.%s[\"key\"].", kind, name, kind, name)
		} else {
			l.fail(at, "Invalid reference", "A reference to a block is %s.%s, without what follows.", kind, name)
		}
		return reference{}, false
	}
	if kind == "source" && has(reservedSources, name) {
		return reference{name: name, at: at}, true
	}
	if _, known := l.defined[kind][name]; !known {
		if l.broken {
			return reference{}, false // it may be in the part that could not be read
		}
		names := l.names(kind)
		hint := expr.DidYouMean(name, names)
		if hint == "" && len(names) > 0 && len(names) <= 8 {
			hint = fmt.Sprintf(" There is %s.%s.", kind, strings.Join(names, fmt.Sprintf(", %s.", kind)))
		}
		l.fail(at, "Unknown "+kind, "There is no %s %q.%s", kind, name, hint)
		return reference{}, false
	}
	if l.repeated[kind][name] {
		l.fail(at, "Incomplete reference", "The %s %q has for_each: write which one is meant, %s.%s[\"key\"].", kind, name, kind, name)
		return reference{}, false
	}
	return reference{name: name, at: at}, true
}

// names returns those of a kind's blocks, in order.
func (l *loader) names(kind string) []string {
	names := make([]string, 0, len(l.defined[kind]))
	for name := range l.defined[kind] {
		if !strings.Contains(name, ".") { // an instance of for_each goes by another name
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

func step(t hcl.Traverser) (string, bool) {
	switch t := t.(type) {
	case hcl.TraverseAttr:
		return t.Name, true
	case hcl.TraverseIndex:
		if t.Key.Type() == cty.String && !t.Key.IsNull() {
			return t.Key.AsString(), true
		}
	}
	return "", false
}

func isText(e hclsyntax.Expression) bool {
	switch e.(type) {
	case *hclsyntax.TemplateExpr, *hclsyntax.TemplateWrapExpr:
		return true
	}
	return false
}

// textIn returns the name that a text seems to mean.
func textIn(e hclsyntax.Expression, kind string) string {
	switch e := e.(type) {
	case *hclsyntax.TemplateWrapExpr:
		if t, ok := e.Wrapped.(*hclsyntax.ScopeTraversalExpr); ok && t.Traversal.RootName() == kind && len(t.Traversal) == 2 {
			name, _ := step(t.Traversal[1])
			return name
		}
	case *hclsyntax.TemplateExpr:
		if e.IsStringLiteral() {
			if v, diags := e.Value(nil); !diags.HasErrors() && v.Type() == cty.String {
				if name := strings.TrimPrefix(v.AsString(), kind+"."); validName(name) {
					return name
				}
			}
		}
	}
	return ""
}
