package expr

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/apparentlymart/go-textseg/v15/textseg"

	"github.com/weirhq/weir/router/rawjson"
)

// function is one of the closed language's. It gets its arguments unevaluated,
// for can and try.
type function struct {
	name     string
	usage    string
	min, max int // max < 0: any number
	apply    func(in *Input, args []node) (value, error)
	// lazy functions survive errors of their arguments.
	lazy bool
}

var functions map[string]*function

// Functions returns the names of all functions that expressions may call, in
// order.
func Functions() []string {
	names := make([]string, 0, len(functions))
	for name := range functions {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func init() {
	functions = map[string]*function{}
	for _, f := range []*function{
		{usage: "can(expression)", min: 1, max: 1, apply: can, lazy: true},
		{usage: "try(expression, ...)", min: 1, max: -1, apply: try, lazy: true},
		{usage: "contains(list, value)", min: 2, max: 2, apply: contains},
		{usage: "length(value)", min: 1, max: 1, apply: length},
		{usage: "lower(text)", min: 1, max: 1, apply: onText(func(s string) value { return stringValue(strings.ToLower(s)) })},
		{usage: "upper(text)", min: 1, max: 1, apply: onText(func(s string) value { return stringValue(strings.ToUpper(s)) })},
		{usage: "startswith(text, prefix)", min: 2, max: 2, apply: onTwo(strings.HasPrefix)},
		{usage: "endswith(text, suffix)", min: 2, max: 2, apply: onTwo(strings.HasSuffix)},
		{usage: "strcontains(text, part)", min: 2, max: 2, apply: onTwo(strings.Contains)},
		{usage: "regex(pattern, text)", min: 2, max: 2}, // compiled into a match
		{usage: "tonumber(value)", min: 1, max: 1, apply: tonumber},
		{usage: "tostring(value)", min: 1, max: 1, apply: tostring},
		{usage: "coalesce(value, ...)", min: 1, max: -1, apply: coalesce},
		{usage: "keys(object)", min: 1, max: 1, apply: keys},
	} {
		f.name, _, _ = strings.Cut(f.usage, "(")
		functions[f.name] = f
	}
}

func textOf(n node, in *Input) (string, error) {
	v, err := n.eval(in)
	if err != nil {
		return "", err
	}
	s, err := v.toText()
	if err != nil {
		if p, ok := n.(*path); ok {
			return "", fmt.Errorf("%s: %w", p.text, err)
		}
		return "", err
	}
	return s, nil
}

func onText(f func(string) value) func(*Input, []node) (value, error) {
	return func(in *Input, args []node) (value, error) {
		s, err := textOf(args[0], in)
		if err != nil {
			return value{}, err
		}
		return f(s), nil
	}
}

func onTwo(f func(a, b string) bool) func(*Input, []node) (value, error) {
	return func(in *Input, args []node) (value, error) {
		a, err := textOf(args[0], in)
		if err != nil {
			return value{}, err
		}
		b, err := textOf(args[1], in)
		if err != nil {
			return value{}, err
		}
		return boolValue(f(a, b)), nil
	}
}

func can(in *Input, args []node) (value, error) {
	_, err := args[0].eval(in)
	return boolValue(err == nil), nil
}

func try(in *Input, args []node) (value, error) {
	var failed error
	for _, a := range args {
		v, err := a.eval(in)
		if err == nil {
			return v, nil
		}
		failed = err
	}
	return value{}, failed
}

func contains(in *Input, args []node) (value, error) {
	v, err := args[0].eval(in)
	if err != nil {
		return value{}, err
	}
	wanted, err := args[1].eval(in)
	if err != nil {
		return value{}, err
	}
	found := false
	switch v.kind {
	case kindList:
		for _, e := range v.made.values {
			if found, err = e.equal(wanted); found || err != nil {
				break
			}
		}
	case kindArray:
		rawjson.EachElement(v.raw, func(raw []byte) bool {
			var e value
			if e, err = fromJSON(raw); err != nil {
				return false
			}
			found, err = e.equal(wanted)
			return !found && err == nil
		})
	default:
		if v.kind == kindString {
			return value{}, errors.New("a list is required, not a string; strcontains looks into strings")
		}
		return value{}, fmt.Errorf("a list is required, not %s", v.describe())
	}
	if err != nil {
		return value{}, err
	}
	return boolValue(found), nil
}

func length(in *Input, args []node) (value, error) {
	v, err := args[0].eval(in)
	if err != nil {
		return value{}, err
	}
	switch v.kind {
	case kindList, kindMap:
		return numberValue(intNumber(len(v.made.values))), nil
	case kindArray:
		n, _ := rawjson.Len(v.raw)
		return numberValue(intNumber(n)), nil
	case kindObject:
		m, _, err := v.members() // duplicate keys count once
		if err != nil {
			return value{}, err
		}
		return numberValue(intNumber(len(m.keys))), nil
	case kindString:
		n, err := textseg.TokenCount([]byte(v.text), textseg.ScanGraphemeClusters)
		if err != nil {
			return value{}, err
		}
		return numberValue(intNumber(n)), nil
	}
	return value{}, fmt.Errorf("a list, an object or a string is required, not %s", v.describe())
}

func tonumber(in *Input, args []node) (value, error) {
	v, err := args[0].eval(in)
	if err != nil || v.kind == kindNull {
		return v, err
	}
	n, err := v.toNumber()
	if err != nil {
		return value{}, err
	}
	return numberValue(n), nil
}

func tostring(in *Input, args []node) (value, error) {
	v, err := args[0].eval(in)
	if err != nil || v.kind == kindNull {
		return v, err
	}
	s, err := v.toText()
	if err != nil {
		return value{}, err
	}
	return stringValue(s), nil
}

func coalesce(in *Input, args []node) (value, error) {
	for _, a := range args {
		v, err := a.eval(in)
		if err != nil {
			return value{}, err
		}
		if v.kind != kindNull {
			return v, nil
		}
	}
	return value{}, errors.New("all arguments are null")
}

func keys(in *Input, args []node) (value, error) {
	v, err := args[0].eval(in)
	if err != nil {
		return value{}, err
	}
	m, ok, err := v.members()
	if err != nil {
		return value{}, err
	}
	if !ok {
		return value{}, fmt.Errorf("an object is required, not %s", v.describe())
	}
	names := make([]value, len(m.keys))
	for i, k := range m.keys {
		names[i] = stringValue(k)
	}
	return value{kind: kindList, made: &made{values: names}}, nil
}

// match is regex with its constant pattern. What it gives follows the pattern:
// without groups the text that matched, with groups a list of theirs, with named
// groups an object. No match is an error, for can and try.
type match struct {
	pattern *regexp.Regexp
	text    node
	named   []string // sorted names, nil where there are none
	most    int      // bytes of the text, 0: any
}

var errNoMatch = errors.New("regex: the pattern does not match")

func (n *match) eval(in *Input) (value, error) {
	s, err := textOf(n.text, in)
	if err != nil {
		return value{}, fmt.Errorf("regex: %w", err)
	}
	if n.most > 0 && len(s) > n.most {
		return value{}, fmt.Errorf("regex: the text has %d bytes, and patterns of this size may look at %d", len(s), n.most)
	}
	at := n.pattern.FindStringSubmatchIndex(s)
	if at == nil {
		return value{}, errNoMatch
	}
	group := func(i int) value {
		if at[2*i] < 0 {
			return value{}
		}
		return stringValue(s[at[2*i]:at[2*i+1]])
	}
	switch {
	case n.pattern.NumSubexp() == 0:
		return group(0), nil
	case n.named != nil:
		m := &made{keys: n.named}
		for _, name := range n.named {
			m.values = append(m.values, group(n.pattern.SubexpIndex(name)))
		}
		return value{kind: kindMap, made: m}, nil
	}
	m := &made{}
	for i := 1; i <= n.pattern.NumSubexp(); i++ {
		m.values = append(m.values, group(i))
	}
	return value{kind: kindList, made: m}, nil
}
