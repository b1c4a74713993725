package expr

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyfunction "github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// judge evaluates as HCL's own evaluator does.
type judge struct{ ctx *hcl.EvalContext }

func newJudge(t testing.TB, data string) *judge {
	t.Helper()
	ty, err := ctyjson.ImpliedType([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	v, err := ctyjson.Unmarshal([]byte(data), ty)
	if err != nil {
		t.Fatal(err)
	}
	return &judge{&hcl.EvalContext{
		Variables: map[string]cty.Value{"event": cty.ObjectVal(map[string]cty.Value{
			"data": v,
			"type": cty.StringVal("order.created"),
		})},
		Functions: map[string]ctyfunction.Function{
			"can": tryfunc.CanFunc, "try": tryfunc.TryFunc,
			"contains": stdlib.ContainsFunc, "length": stdlib.LengthFunc, "keys": stdlib.KeysFunc,
			"lower": stdlib.LowerFunc, "upper": stdlib.UpperFunc, "regex": stdlib.RegexFunc,
			"tonumber": stdlib.MakeToFunc(cty.Number), "tostring": stdlib.MakeToFunc(cty.String),
			"coalesce": stdlib.CoalesceFunc,
		},
	}}
}

// eval gives JSON, or false for an error.
func (j *judge) eval(e hclsyntax.Expression) (string, bool) {
	v, diags := e.Value(j.ctx)
	if diags.HasErrors() || !v.IsWhollyKnown() {
		return "", false
	}
	if v.IsNull() {
		return "null", true
	}
	if v.Type() == cty.Number {
		s, err := convert.Convert(v, cty.String)
		if err != nil {
			return "", false
		}
		return s.AsString(), true
	}
	b, err := ctyjson.Marshal(v, v.Type())
	return string(b), err == nil
}

func ours(n node, in *Input) (string, bool) {
	v, err := n.eval(in)
	if err != nil {
		return "", false
	}
	return strings.NewReplacer(", ", ",", ": ", ":").Replace(v.json()), true
}

// generator makes random expressions. Comparisons stay inside of what both
// evaluators promise; the differences that are wanted are listed at Compile.
type generator struct{ r *rand.Rand }

func (g *generator) pick(list ...string) string { return list[g.r.Intn(len(list))] }

func (g *generator) path() string {
	return "event.data" + g.pick(".n", ".s", ".t", ".f", ".z", ".num", ".o.a", ".o.b.c", ".l[0]", ".l[1].x", ".l[2]", ".o", ".l", ".gone", ".n.gone",
		`["we ird"]`, ".big", ".dec", ".bools", ".neg", ".l[event.data.one]", `.o[event.data.a]`)
}

func (g *generator) number(d int) string {
	if d == 0 {
		return g.pick("0", "1", "3", "2.5", "100", "9007199254740993", "-4", `"12"`, "event.data.n", "event.data.num", "event.data.big", "event.data.dec", "event.data.neg", g.path())
	}
	switch g.r.Intn(6) {
	case 0:
		return fmt.Sprintf("(%s %s %s)", g.number(d-1), g.pick("+", "-", "*"), g.number(d-1))
	case 1:
		return "-" + g.number(0)
	case 2:
		return fmt.Sprintf("try(%s, %s)", g.value(d-1), g.number(d-1))
	case 3:
		return fmt.Sprintf("tonumber(%s)", g.value(d-1))
	case 4:
		return fmt.Sprintf("length(%s)", g.pick("event.data.l", "[1, 2]", `"text"`, "event.data.gone", "event.data.n"))
	}
	return g.number(0)
}

func (g *generator) text(d int) string {
	if d == 0 {
		return g.pick(`"a"`, `"abc"`, `"120"`, `""`, `"é"`, "event.type", "event.data.s", "event.data.t", `event.data["we ird"]`, g.path())
	}
	switch g.r.Intn(5) {
	case 0:
		return fmt.Sprintf(`"x${%s}y"`, g.value(d-1))
	case 1:
		return fmt.Sprintf("%s(%s)", g.pick("lower", "upper", "tostring"), g.value(d-1))
	case 2:
		return fmt.Sprintf(`regex("%s", %s)`, g.pick("a", "[a-z]+", "(b)(c)", "(?P<n>b)", "^$"), g.text(d-1))
	case 3:
		return fmt.Sprintf("try(%s, %s)", g.value(d-1), g.text(d-1))
	}
	return g.text(0)
}

func (g *generator) bool(d int) string {
	if d == 0 {
		return g.pick("true", "false", "event.data.f", "event.data.y", "event.data.gone", g.path())
	}
	switch g.r.Intn(8) {
	case 0:
		return fmt.Sprintf("(%s && %s)", g.bool(d-1), g.bool(d-1))
	case 1:
		return fmt.Sprintf("(%s || %s)", g.bool(d-1), g.bool(d-1))
	case 2:
		return "!" + g.bool(d-1)
	case 3, 4:
		return fmt.Sprintf("(%s %s %s)", g.number(d-1), g.pick("<", "<=", ">", ">="), g.number(d-1))
	case 5:
		return fmt.Sprintf("(%s %s %s)", g.value(d-1), g.pick("==", "!="), g.value(d-1))
	case 6:
		return fmt.Sprintf("can(%s)", g.value(d-1))
	}
	return fmt.Sprintf("contains(%s, %s)", g.pick("event.data.l", `["a", 1, true]`, "event.data.bools", "event.data.gone", "event.data.s"), g.value(d-1))
}

func (g *generator) value(d int) string {
	switch g.r.Intn(5) {
	case 0:
		return g.number(d)
	case 1:
		return g.text(d)
	case 2:
		return g.bool(d)
	case 3:
		return g.pick("null", `[1, "a"]`, `{a = 1}`, "keys(event.data.o)", "event.data.l", "event.data.o")
	}
	return g.path()
}

// nullNeedle says whether contains looks for null somewhere in e.
func nullNeedle(e hclsyntax.Expression, j *judge) bool {
	found := false
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		if f, ok := n.(*hclsyntax.FunctionCallExpr); ok && f.Name == "contains" {
			v, ok := j.eval(f.Args[1])
			found = found || ok && v == "null"
		}
		return nil
	})
	return found
}

const judged = `{"n": 80, "s": "abc", "t": "120", "f": false, "y": true, "z": null, "num": 2.5, "neg": -7, "one": 1, "a": "a",
 "big": 9007199254740993, "dec": 0.125, "o": {"a": 1, "b": {"c": "deep"}}, "l": [1, {"x": "e"}, "a"], "we ird": "É", "bools": [true, false]}`

// TestAgreesWithHCL compares with HCL's own evaluator on random expressions.
// Where a side of && and || or a branch that is not needed makes HCL fail, or a
// null operand makes it answer, ours may differ: those are left out.
func TestAgreesWithHCL(t *testing.T) {
	j := newJudge(t, judged)
	m := message()
	m.Data = []byte(judged)
	g := &generator{rand.New(rand.NewSource(1))}
	compared, good := 0, 0
	for range 15000 {
		text := g.value(3)
		if strings.Contains(text, "length(\"") || strings.Contains(text, "length(event.data.n") {
			continue // ours counts characters
		}
		e, diags := hclsyntax.ParseExpression([]byte(text), "", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatalf("%s: %v", text, diags)
		}
		want, wantOK := j.eval(e)
		if !wantOK && nullNeedle(e, j) || strings.Contains(want, "-0") {
			continue // HCL can't look for null, and has a negative zero
		}
		p, diags := Compile(e, EventScope)
		if diags.HasErrors() {
			// What we refuse when it is loaded must fail when it is run, but for
			// the short circuits.
			if wantOK && !strings.ContainsAny(text, "&|") {
				t.Errorf("%s: refused (%s), and HCL gives %s", text, diags[0].Detail, want)
			}
			continue
		}
		got, gotOK := ours(p.root, NewInput(m))
		if logical := strings.ContainsAny(text, "&|"); logical && gotOK != wantOK {
			continue
		} else if logical && got != want && (strings.Contains(text, "can(") || strings.Contains(text, "try(")) {
			continue // what can and try see of a short circuit differs with it
		}
		compared++
		if gotOK {
			good++
		}
		if gotOK != wantOK || got != want {
			t.Errorf("%s:\n ours %q %v\n HCL  %q %v", text, got, gotOK, want, wantOK)
			if t.Failed() && compared > 5000 {
				t.FailNow()
			}
		}
	}
	if compared < 5000 || good < compared/5 {
		t.Fatalf("only %d compared, %d of them with a value", compared, good)
	}
	t.Logf("%d compared, %d with a value", compared, good)
}
