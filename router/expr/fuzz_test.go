package expr

import (
	"math/big"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/weirhq/weir/router/rawjson"
)

// FuzzEval compiles any text and runs it on any data: nothing panics, twice
// gives the same, and Explain agrees with Bool.
func FuzzEval(f *testing.F) {
	for _, seed := range []string{
		`event.data.total > 100 && event.data.currency == "USD"`,
		`can(regex("^a(b)?", event.data.s)) || contains(event.data.l, "x")`,
		`"${event.data.n * 2}-${try(event.data.gone, "d")}" == event.type`,
		`length(keys(event.data)) % 3 == 0 ? event.data.a[0] : !event.data.b`,
		`{a = [1, {b = event.data.x}]}.a[1].b != null`,
		`-event.data.n / 3 >= 1e10`,
	} {
		f.Add(seed, judged)
		f.Add(seed, `[1e999, "\ud800", {"a": {}}]`)
	}
	f.Fuzz(func(t *testing.T, text, data string) {
		if len(text) > 2000 || rawjson.Valid([]byte(data)) != nil {
			return
		}
		e, diags := hclsyntax.ParseExpression([]byte(text), "", hcl.InitialPos)
		if diags.HasErrors() {
			return
		}
		p, diags := Compile(e, EventScope)
		if (p == nil) != diags.HasErrors() {
			t.Fatalf("program %v with %v", p, diags)
		}
		if p == nil {
			return
		}
		m := message()
		m.Data = []byte(data)
		in := NewInput(m)
		got, err := p.Bool(in)
		again, errAgain := p.Bool(NewInput(m))
		if got != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("%v, %v and then %v, %v", got, err, again, errAgain)
		}
		all := true
		for _, term := range p.Explain(in) {
			all = all && term.OK
			if !term.OK && term.Reason == "" {
				t.Fatalf("no reason for %+v", term)
			}
		}
		if all != (got && err == nil) {
			t.Fatalf("Bool gives %v, %v and Explain %v", got, err, all)
		}
		if _, err := p.String(in); err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
	})
}

// FuzzNumber holds numbers against the slow way.
func FuzzNumber(f *testing.F) {
	for _, seed := range []string{"0", "-0", "1", "10", "0.10", "1e3", "123456789012345678", "1234567890123456789", "0.000000000000000001", "-1.5e-3", "1e-19", "000123", "1.", ".5", "+7", "1e+2", "--1", "1e", "9e17", "100000000000000000e1"} {
		f.Add(seed, "1.5")
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, okX := parseNumber(a)
		y, okY := parseNumber(b)
		if !okX || !okY {
			return
		}
		if x.big == nil && slow(t, a).Cmp(x.float()) != 0 {
			t.Fatalf("%s is read as %d/10^%d", a, x.coef, x.scale)
		}
		if got, want := x.compare(y), slow(t, a).Cmp(slow(t, b)); got != want {
			t.Fatalf("%s against %s: %d, want %d", a, b, got, want)
		}
		if s, err := x.text(); err == nil {
			if z, ok := parseNumber(s); ok && z.compare(x) != 0 {
				t.Fatalf("%s is written as %s", a, s)
			}
		}
		for _, op := range []func(number) (number, error){x.add, x.mul, x.div, x.mod} {
			if z, err := op(y); err == nil && z.big != nil && z.big.IsInf() {
				t.Fatalf("%s and %s give infinity", a, b)
			}
		}
		if sum, err := x.add(y); err == nil && x.big == nil && y.big == nil {
			if back, err := sum.add(y.negate()); err != nil || sum.big == nil && back.compare(x) != 0 {
				t.Fatalf("%s + %s - %s is not %s: %v", a, b, b, a, err)
			}
		}
	})
}

func slow(t *testing.T, s string) *big.Float {
	t.Helper()
	f, _, err := big.ParseFloat(s, 10, precision, big.ToNearestEven)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return f
}
