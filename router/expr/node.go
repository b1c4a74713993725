package expr

import (
	"fmt"
	"strings"
)

// node is one compiled part of an expression.
type node interface {
	eval(in *Input) (value, error)
}

type constant struct{ value value }

func (n *constant) eval(*Input) (value, error) { return n.value, nil }

// operandError says which operand of which operator could not be used.
func operandError(n node, op string, err error) error {
	if p, ok := n.(*path); ok {
		if err == errNull {
			return p.isNull
		}
		return fmt.Errorf("%s: %w for %s", p.text, err, op)
	}
	return fmt.Errorf("operand of %s: %w", op, err)
}

func evalBool(n node, in *Input, op string) (bool, error) {
	v, err := n.eval(in)
	if err != nil {
		return false, err
	}
	b, err := v.toBool()
	if err != nil {
		return false, operandError(n, op, err)
	}
	return b, nil
}

func evalNumber(n node, in *Input, op string) (number, error) {
	v, err := n.eval(in)
	if err != nil {
		return number{}, err
	}
	x, err := v.toNumber()
	if err != nil {
		return number{}, operandError(n, op, err)
	}
	return x, nil
}

// logical is && (stop false) or || (stop true). A side that has the stopping
// value decides, even where the other side fails; that is HCL's rule.
type logical struct {
	left, right node
	stop        bool
	op          string
}

func (n *logical) eval(in *Input) (value, error) {
	left, failed := evalBool(n.left, in, n.op)
	if failed == nil && left == n.stop {
		return boolValue(n.stop), nil
	}
	right, err := evalBool(n.right, in, n.op)
	switch {
	case err == nil && right == n.stop:
		return boolValue(n.stop), nil
	case failed != nil:
		return value{}, failed
	case err != nil:
		return value{}, err
	}
	return boolValue(!n.stop), nil
}

type not struct{ operand node }

func (n *not) eval(in *Input) (value, error) {
	b, err := evalBool(n.operand, in, "!")
	if err != nil {
		return value{}, err
	}
	return boolValue(!b), nil
}

type equality struct {
	left, right node
	negate      bool
}

func (n *equality) eval(in *Input) (value, error) {
	left, err := n.left.eval(in)
	if err != nil {
		return value{}, err
	}
	right, err := n.right.eval(in)
	if err != nil {
		return value{}, err
	}
	same, err := left.equal(right)
	if err != nil {
		return value{}, err
	}
	return boolValue(same != n.negate), nil
}

// order is one of < <= > >=.
type order struct {
	left, right node
	op          string
	accept      func(int) bool
}

func (n *order) eval(in *Input) (value, error) {
	left, err := evalNumber(n.left, in, n.op)
	if err != nil {
		return value{}, err
	}
	right, err := evalNumber(n.right, in, n.op)
	if err != nil {
		return value{}, err
	}
	return boolValue(n.accept(left.compare(right))), nil
}

type arithmetic struct {
	left, right node
	op          string
	apply       func(a, b number) (number, error)
}

func (n *arithmetic) eval(in *Input) (value, error) {
	left, err := evalNumber(n.left, in, n.op)
	if err != nil {
		return value{}, err
	}
	right, err := evalNumber(n.right, in, n.op)
	if err != nil {
		return value{}, err
	}
	result, err := n.apply(left, right)
	if err != nil {
		return value{}, err
	}
	return numberValue(result), nil
}

type negation struct{ operand node }

func (n *negation) eval(in *Input) (value, error) {
	x, err := evalNumber(n.operand, in, "-")
	if err != nil {
		return value{}, err
	}
	return numberValue(x.negate()), nil
}

type conditional struct{ condition, yes, no node }

func (n *conditional) eval(in *Input) (value, error) {
	b, err := evalBool(n.condition, in, "?")
	if err != nil {
		return value{}, err
	}
	if b {
		return n.yes.eval(in)
	}
	return n.no.eval(in)
}

type template struct{ parts []node }

func (n *template) eval(in *Input) (value, error) {
	var b strings.Builder
	for _, p := range n.parts {
		v, err := p.eval(in)
		if err != nil {
			return value{}, err
		}
		s, err := v.toText()
		if err != nil {
			return value{}, operandError(p, "a template", err)
		}
		b.WriteString(s)
	}
	return stringValue(b.String()), nil
}

type index struct{ collection, key node }

func (n *index) eval(in *Input) (value, error) {
	c, err := n.collection.eval(in)
	if err != nil {
		return value{}, err
	}
	k, err := n.key.eval(in)
	if err != nil {
		return value{}, err
	}
	v, err := c.index(k)
	if err != nil {
		if p, ok := n.collection.(*path); ok {
			return value{}, fmt.Errorf("%s: %w", p.text, err)
		}
		return value{}, err
	}
	return v, nil
}

type list struct{ elements []node }

func (n *list) eval(in *Input) (value, error) {
	values := make([]value, len(n.elements))
	for i, e := range n.elements {
		var err error
		if values[i], err = e.eval(in); err != nil {
			return value{}, err
		}
	}
	return value{kind: kindList, made: &made{values: values}}, nil
}

// object has constant, sorted keys.
type object struct {
	keys   []string
	values []node
}

func (n *object) eval(in *Input) (value, error) {
	values := make([]value, len(n.values))
	for i, e := range n.values {
		var err error
		if values[i], err = e.eval(in); err != nil {
			return value{}, err
		}
	}
	return value{kind: kindMap, made: &made{keys: n.keys, values: values}}, nil
}

type call struct {
	f    *function
	args []node
}

func (n *call) eval(in *Input) (value, error) {
	v, err := n.f.apply(in, n.args)
	if err != nil {
		return value{}, fmt.Errorf("%s: %w", n.f.name, err)
	}
	return v, nil
}

// children are the nodes that n evaluates, in the order of the text.
func children(n node) []node {
	switch n := n.(type) {
	case *logical:
		return []node{n.left, n.right}
	case *not:
		return []node{n.operand}
	case *equality:
		return []node{n.left, n.right}
	case *order:
		return []node{n.left, n.right}
	case *arithmetic:
		return []node{n.left, n.right}
	case *negation:
		return []node{n.operand}
	case *conditional:
		return []node{n.condition, n.yes, n.no}
	case *template:
		return n.parts
	case *index:
		return []node{n.collection, n.key}
	case *list:
		return n.elements
	case *object:
		return n.values
	case *call:
		return n.args
	case *match:
		return []node{n.text}
	}
	return nil
}
