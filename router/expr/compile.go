package expr

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/weirhq/weir/router/rawjson"
)

// loadFunctions are those that configurations have but events do not.
var loadFunctions = map[string]bool{"env": true, "file": true}

// nothing stands for an expression that was refused, so that the rest of it is
// still checked.
var nothing = &constant{}

type compiler struct {
	scope Scope
	diags hcl.Diagnostics
	// tolerant counts the can() and try() around: an error in them is no
	// mistake.
	tolerant int
	// matches are all calls of regex, patterns adds up their instructions.
	matches  []*match
	patterns int
}

func (c *compiler) fail(r hcl.Range, summary, format string, args ...any) node {
	c.diags = append(c.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  summary,
		Detail:   fmt.Sprintf(format, args...),
		Subject:  &r,
	})
	return nothing
}

// terms are the operands of the topmost &&.
func (c *compiler) terms(e hclsyntax.Expression) []term {
	inner := e
	for {
		p, ok := inner.(*hclsyntax.ParenthesesExpr)
		if !ok {
			break
		}
		inner = p.Expression
	}
	if b, ok := inner.(*hclsyntax.BinaryOpExpr); ok && b.Op == hclsyntax.OpLogicalAnd {
		return append(c.terms(b.LHS), c.terms(b.RHS)...)
	}
	return []term{{rng: e.Range(), node: c.compile(inner)}}
}

func (c *compiler) compile(e hclsyntax.Expression) node {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return c.compile(e.Expression)
	case *hclsyntax.LiteralValueExpr:
		return c.literal(e)
	case *hclsyntax.TemplateWrapExpr:
		return c.compile(e.Wrapped)
	case *hclsyntax.TemplateExpr:
		return c.template(e)
	case *hclsyntax.ScopeTraversalExpr:
		return c.traversal(e)
	case *hclsyntax.RelativeTraversalExpr:
		n := c.compile(e.Source)
		for _, step := range e.Traversal {
			key, ok := stepKey(step)
			if !ok {
				return c.fail(step.SourceRange(), "Not part of the language", "Expressions on events have no splat.")
			}
			n = c.fold(e.Range(), &index{collection: n, key: &constant{key}})
		}
		return n
	case *hclsyntax.IndexExpr:
		return c.index(e)
	case *hclsyntax.BinaryOpExpr:
		return c.binary(e)
	case *hclsyntax.UnaryOpExpr:
		operand := c.compile(e.Val)
		if e.Op == hclsyntax.OpLogicalNot {
			c.wantBool(e.Val, operand)
			return c.fold(e.Range(), &not{operand})
		}
		c.wantNumber(e.Val, operand)
		return c.fold(e.Range(), &negation{operand})
	case *hclsyntax.ConditionalExpr:
		n := &conditional{c.compile(e.Condition), c.compile(e.TrueResult), c.compile(e.FalseResult)}
		c.wantBool(e.Condition, n.condition)
		return c.fold(e.Range(), n)
	case *hclsyntax.TupleConsExpr:
		n := &list{}
		for _, x := range e.Exprs {
			n.elements = append(n.elements, c.compile(x))
		}
		return c.fold(e.Range(), n)
	case *hclsyntax.ObjectConsExpr:
		return c.object(e)
	case *hclsyntax.FunctionCallExpr:
		return c.call(e)
	case *hclsyntax.ForExpr, *hclsyntax.TemplateJoinExpr:
		return c.fail(e.Range(), "Not part of the language", "Expressions on events have no for: their work must be bounded by the event's size.")
	case *hclsyntax.SplatExpr:
		return c.fail(e.Range(), "Not part of the language", "Expressions on events have no splat (\"*\").")
	}
	return c.fail(e.Range(), "Not part of the language", "Expressions on events can't have this.")
}

// fold evaluates what depends on no event now, and so finds its mistakes.
func (c *compiler) fold(r hcl.Range, n node) node {
	for _, child := range children(n) {
		if child == nothing {
			return nothing // refused already
		}
	}
	if !foldable(n) {
		return n
	}
	v, err := n.eval(&Input{})
	if err != nil {
		if c.tolerant > 0 {
			return n
		}
		return c.fail(r, "Expression always fails", "%s.", sentence(err))
	}
	return &constant{v}
}

// foldable says whether n depends on no event.
func foldable(n node) bool {
	if _, ok := n.(*path); ok {
		return false
	}
	for _, child := range children(n) {
		if _, ok := child.(*constant); !ok {
			return false
		}
	}
	return true
}

func sentence(err error) string {
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

func (c *compiler) literal(e *hclsyntax.LiteralValueExpr) node {
	v, ok := fromCty(e.Val)
	if !ok {
		return c.fail(e.Range(), "Not part of the language", "This literal can't be used in an expression on events.")
	}
	return &constant{v}
}

func fromCty(v cty.Value) (value, bool) {
	switch {
	case v.IsNull():
		return value{}, true
	case v.Type() == cty.Bool:
		return boolValue(v.True()), true
	case v.Type() == cty.String:
		return stringValue(v.AsString()), true
	case v.Type() == cty.Number:
		// By its shortest decimal, so that 0.1 is exactly what is written.
		f := v.AsBigFloat()
		if !bounded(f) { // writing it out would take for ever
			return value{}, false
		}
		n, ok := parseNumber(f.Text('g', -1))
		return numberValue(n), ok
	}
	return value{}, false
}

func (c *compiler) template(e *hclsyntax.TemplateExpr) node {
	n := &template{}
	for _, part := range e.Parts {
		p := c.compile(part)
		if k, ok := p.(*constant); ok && p != nothing && c.tolerant == 0 {
			if _, err := k.value.toText(); err != nil {
				c.fail(part.Range(), "Unsuitable value", "%s.", sentence(err))
			}
		}
		n.parts = append(n.parts, p)
	}
	return c.fold(e.Range(), n)
}

func stepKey(step hcl.Traverser) (value, bool) {
	switch s := step.(type) {
	case hcl.TraverseAttr:
		return stringValue(s.Name), true
	case hcl.TraverseIndex:
		return fromCty(s.Key)
	}
	return value{}, false
}

// segment is a step as part of a path. Where the key is no whole number or text
// there is none.
func segment(key value) (rawjson.Segment, bool) {
	if key.kind == kindNull {
		return rawjson.Segment{}, false
	}
	s, err := key.toText()
	return rawjson.Name(s), err == nil
}

func (c *compiler) traversal(e *hclsyntax.ScopeTraversalExpr) node {
	t := e.Traversal
	root := t.RootName()
	r := t[0].SourceRange()
	rest := t[1:]
	var b base
	switch {
	case c.scope == EventScope && root == "event":
		if len(rest) == 0 {
			return c.fail(r, "Incomplete reference", "Write the member of the event that is meant: event.%s.", strings.Join(memberNames(), ", event."))
		}
		key, ok := stepKey(rest[0])
		member, known := base(0), false
		if ok && key.kind == kindString {
			member, known = eventMembers[key.text]
		}
		if !known {
			name, _ := key.toText()
			hint := DidYouMean(name, memberNames())
			if hint == "" {
				hint = fmt.Sprintf(" What the producer sent is below event.data, so this may be event.data.%s.", name)
			}
			return c.fail(rest[0].SourceRange(), "Unknown member of event", "An event has %s, not %q.%s", strings.Join(memberNames(), ", "), name, hint)
		}
		b, rest = member, rest[1:]
	case c.scope == SourceScope && root == "body":
		b = baseBody
	case c.scope == SourceScope && root == "header":
		b = baseHeader
	case c.scope == SourceScope && root == "query":
		b = baseQuery
	default:
		return c.unknownRoot(r, root)
	}
	return c.path(b, rest, r, e.Range())
}

func (c *compiler) unknownRoot(r hcl.Range, root string) node {
	names := []string{"event"}
	about := "In this place there is only event, with its members."
	if c.scope == SourceScope {
		names = []string{"body", "header", "query"}
		about = "In a source there are body, header and query."
	}
	hint := DidYouMean(root, names)
	switch {
	case root == "event":
		hint = " The event does not exist yet here."
	case root == "body":
		hint = ` Write event.data for what the producer sent.`
	case root == "header":
		hint = ` Write event.header["name"].`
	case root == "data" || eventMembers[root] != 0:
		hint = " Did you mean \"event." + root + "\"?"
		if c.scope == SourceScope {
			hint = DidYouMean(root, names)
		}
	case root == "local" || root == "var":
		hint = " Expressions on events see nothing of the configuration."
	}
	return c.fail(r, "Unknown name", "There is no %q. %s%s", root, about, hint)
}

func memberNames() []string {
	return []string{"id", "type", "source", "subject", "time", "tenant", "header", "data"}
}

func (c *compiler) path(b base, steps []hcl.Traverser, root, whole hcl.Range) node {
	var rest rawjson.Path
	for _, step := range steps {
		key, ok := stepKey(step)
		if !ok {
			return c.fail(step.SourceRange(), "Not part of the language", "Expressions on events have no splat.")
		}
		s, ok := segment(key)
		if !ok {
			return c.fail(step.SourceRange(), "Invalid index", "An index is a whole number or a text.")
		}
		rest = append(rest, s)
	}
	at := whole
	if len(steps) > 0 {
		at = steps[0].SourceRange()
	}
	switch b {
	case baseHeader:
		if len(rest) > 0 {
			if name := rest[0].Name(); name != strings.ToLower(name) {
				return c.fail(at, "Header name not in lower case", "The names of headers are in lower case here: write %q.", strings.ToLower(name))
			}
		}
		if len(rest) > 1 {
			return c.fail(whole, "Not an object", "A header is text and has no attributes.")
		}
	case baseID, baseType, baseSource, baseSubject, baseTime, baseTenant:
		if len(rest) > 0 {
			return c.fail(whole, "Not an object", "This member of the event is text and has no attributes.")
		}
	}
	return newPath(b, rest, c.pathText(b, rest))
}

// pathText writes a path as an expression would.
func (c *compiler) pathText(b base, rest rawjson.Path) string {
	var s strings.Builder
	if c.scope == EventScope {
		s.WriteString("event.")
	}
	switch b {
	case baseBody:
		s.WriteString("body")
	case baseQuery:
		s.WriteString("query")
	default:
		for name, member := range eventMembers {
			if member == b {
				s.WriteString(name)
			}
		}
	}
	for _, x := range rest {
		switch {
		case x.Index() >= 0:
			fmt.Fprintf(&s, "[%s]", x.Name())
		case hclsyntax.ValidIdentifier(x.Name()):
			s.WriteString("." + x.Name())
		default:
			fmt.Fprintf(&s, "[%q]", x.Name())
		}
	}
	return s.String()
}

func (c *compiler) index(e *hclsyntax.IndexExpr) node {
	if t, ok := e.Collection.(*hclsyntax.ScopeTraversalExpr); ok && len(t.Traversal) == 1 && t.Traversal.RootName() == "event" && c.scope == EventScope {
		return c.fail(e.Key.Range(), "Unknown member of event", "The member of an event must be written out: event.%s.", strings.Join(memberNames(), ", event."))
	}
	collection, key := c.compile(e.Collection), c.compile(e.Key)
	if k, ok := key.(*constant); ok && key != nothing {
		s, fits := segment(k.value)
		if !fits {
			return c.fail(e.Key.Range(), "Invalid index", "An index is a whole number or a text.")
		}
		if p, ok := collection.(*path); ok {
			rest := append(append(rawjson.Path(nil), p.rest...), s)
			return newPath(p.base, rest, c.pathText(p.base, rest))
		}
	}
	return c.fold(e.Range(), &index{collection, key})
}

func (c *compiler) binary(e *hclsyntax.BinaryOpExpr) node {
	left, right := c.compile(e.LHS), c.compile(e.RHS)
	numbers := func() {
		c.wantNumber(e.LHS, left)
		c.wantNumber(e.RHS, right)
	}
	ordered := func(op string, accept func(int) bool) node {
		numbers()
		return &order{left, right, op, accept}
	}
	arith := func(op string, apply func(a, b number) (number, error)) node {
		numbers()
		return &arithmetic{left, right, op, apply}
	}
	var n node
	switch e.Op {
	case hclsyntax.OpLogicalAnd, hclsyntax.OpLogicalOr:
		c.wantBool(e.LHS, left)
		c.wantBool(e.RHS, right)
		or := e.Op == hclsyntax.OpLogicalOr
		op := "&&"
		if or {
			op = "||"
		}
		n = &logical{left, right, or, op}
	case hclsyntax.OpEqual:
		n = &equality{left, right, false}
	case hclsyntax.OpNotEqual:
		n = &equality{left, right, true}
	case hclsyntax.OpGreaterThan:
		n = ordered(">", func(i int) bool { return i > 0 })
	case hclsyntax.OpGreaterThanOrEqual:
		n = ordered(">=", func(i int) bool { return i >= 0 })
	case hclsyntax.OpLessThan:
		n = ordered("<", func(i int) bool { return i < 0 })
	case hclsyntax.OpLessThanOrEqual:
		n = ordered("<=", func(i int) bool { return i <= 0 })
	case hclsyntax.OpAdd:
		n = arith("+", number.add)
	case hclsyntax.OpSubtract:
		n = arith("-", func(a, b number) (number, error) { return a.add(b.negate()) })
	case hclsyntax.OpMultiply:
		n = arith("*", number.mul)
	case hclsyntax.OpDivide:
		n = arith("/", number.div)
	case hclsyntax.OpModulo:
		n = arith("%", number.mod)
	default:
		return c.fail(e.Range(), "Not part of the language", "Expressions on events don't have this operator.")
	}
	return c.fold(e.Range(), n)
}

// wantBool refuses an operand that can never be a bool.
func (c *compiler) wantBool(e hclsyntax.Expression, n node) {
	if c.tolerant > 0 || n == nothing {
		return
	}
	switch n := n.(type) {
	case *constant:
		if _, err := n.value.toBool(); err != nil {
			c.fail(e.Range(), "Unsuitable value", "%s here, and this is %s.", sentence(errNotBool), n.value.describe())
		}
	case *match:
		c.fail(e.Range(), "Unsuitable value", "%s here, and regex gives the text that matched. Write can(regex(...)) to ask whether it matches.", sentence(errNotBool))
	case *arithmetic, *negation:
		c.fail(e.Range(), "Unsuitable value", "%s here, and this is a number.", sentence(errNotBool))
	}
}

// wantNumber refuses an operand that can never be a number.
func (c *compiler) wantNumber(e hclsyntax.Expression, n node) {
	if c.tolerant > 0 || n == nothing {
		return
	}
	switch n := n.(type) {
	case *constant:
		if _, err := n.value.toNumber(); err != nil {
			c.fail(e.Range(), "Unsuitable value", "%s here, and this is %s.", sentence(errNotNumber), n.value.describe())
		}
	case *logical, *not, *equality, *order:
		c.fail(e.Range(), "Unsuitable value", "%s here, and this is a bool.", sentence(errNotNumber))
	}
}

func (c *compiler) object(e *hclsyntax.ObjectConsExpr) node {
	type item struct {
		key   string
		value node
	}
	var items []item
	seen := map[string]bool{}
	for _, x := range e.Items {
		v := c.compile(x.ValueExpr)
		k, ok := x.KeyExpr.(*hclsyntax.ObjectConsKeyExpr)
		if !ok {
			c.fail(x.KeyExpr.Range(), "Not part of the language", "The keys of an object must be constant.")
			continue
		}
		name := hcl.ExprAsKeyword(k)
		if name == "" || k.ForceNonLiteral {
			folded, ok := c.compile(k.Wrapped).(*constant)
			if !ok {
				c.fail(k.Range(), "Not part of the language", "The keys of an object must be constant.")
				continue
			}
			text, err := folded.value.toText()
			if err != nil {
				c.fail(k.Range(), "Unsuitable key", "%s.", sentence(err))
				continue
			}
			name = text
		}
		name = normal(name)
		if seen[name] {
			c.fail(k.Range(), "Duplicate key", "The object has %q already.", name)
			continue
		}
		seen[name] = true
		items = append(items, item{name, v})
	}
	sort.Slice(items, func(i, j int) bool { return items[i].key < items[j].key })
	n := &object{}
	for _, it := range items {
		n.keys = append(n.keys, it.key)
		n.values = append(n.values, it.value)
	}
	return c.fold(e.Range(), n)
}

func (c *compiler) call(e *hclsyntax.FunctionCallExpr) node {
	f, ok := functions[e.Name]
	if !ok {
		hint := DidYouMean(e.Name, Functions())
		if loadFunctions[e.Name] {
			hint = " It works only where a value is fixed when the configuration is loaded."
		} else if hint == "" {
			hint = " There are " + strings.Join(Functions(), ", ") + "."
		}
		return c.fail(e.NameRange, "Unknown function", "Expressions on events have no function %q.%s", e.Name, hint)
	}
	if e.ExpandFinal {
		return c.fail(e.Range(), "Not part of the language", "Expressions on events can't expand a list into arguments (\"...\").")
	}
	if f.lazy {
		c.tolerant++
	}
	args := make([]node, len(e.Args))
	for i, a := range e.Args {
		args[i] = c.compile(a)
	}
	if f.lazy {
		c.tolerant--
	}
	if len(args) < f.min || f.max >= 0 && len(args) > f.max {
		return c.fail(e.Range(), "Wrong number of arguments", "Write %s; here it has %d.", f.usage, len(args))
	}
	if f.name == "regex" {
		return c.regex(e, args)
	}
	return c.fold(e.Range(), &call{f, args})
}

func (c *compiler) regex(e *hclsyntax.FunctionCallExpr, args []node) node {
	r := e.Args[0].Range()
	pattern, ok := args[0].(*constant)
	if !ok {
		return c.fail(r, "Pattern is not constant", "The pattern of regex must be a text that does not depend on the event: it is compiled once.")
	}
	if pattern == nothing {
		return nothing
	}
	if pattern.value.kind != kindString {
		return c.fail(r, "Invalid pattern", "The pattern of regex must be a text.")
	}
	re, err := regexp.Compile(pattern.value.text)
	if err != nil {
		return c.fail(r, "Invalid pattern", "%s. Patterns are RE2: https://github.com/google/re2/wiki/Syntax", sentence(err))
	}
	c.patterns += instructions(pattern.value.text)
	n := &match{pattern: re, text: args[1]}
	c.matches = append(c.matches, n)
	names := re.SubexpNames()[1:]
	for _, name := range names {
		if name != "" {
			n.named = append(n.named, name)
		}
	}
	if len(n.named) > 0 && len(n.named) < len(names) {
		return c.fail(r, "Invalid pattern", "Either all groups of a pattern have names or none has.")
	}
	sort.Strings(n.named)
	return c.fold(e.Range(), n)
}

// instructions is how large a pattern that compiles is once it is compiled: repeats
// are written out.
func instructions(pattern string) int {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return 0
	}
	return len(program.Inst)
}
