package expr

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/router/event"
)

// kibibyte is an event of 1 KiB whose interesting members come late.
func kibibyte() *event.Message {
	m := message()
	head, tail := `{"note": "`, `", "customer": {"id": 17, "tier": "gold"}, "total": 180, "currency": "USD"}`
	m.Data = []byte(head + strings.Repeat("x", 1024-len(head)-len(tail)) + tail)
	return m
}

func TestTwoTermsDoNotAllocate(t *testing.T) {
	p := compile(t, `event.data.total > 100 && event.data.currency == "USD"`, EventScope)
	absent := compile(t, `event.data.gone > 100 && event.data.currency == "USD"`, EventScope)
	m, in := kibibyte(), &Input{}
	if n := testing.AllocsPerRun(100, func() {
		in.Reset(m)
		if ok, err := p.Bool(in); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, err := absent.Bool(in); err == nil {
			t.Fatal("no error")
		}
	}); n > 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkTwoTerms(b *testing.B) {
	p := compile(b, `event.data.total > 100 && event.data.currency == "USD"`, EventScope)
	m, in := kibibyte(), &Input{}
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(m)
		if ok, err := p.Bool(in); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkNoMember(b *testing.B) {
	p := compile(b, `event.data.gone.deep == "x"`, EventScope)
	m, in := kibibyte(), &Input{}
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(m)
		if _, err := p.Bool(in); err == nil {
			b.Fatal("no error")
		}
	}
}

func BenchmarkSourceType(b *testing.B) {
	p := compile(b, `"github.${header["x-github-event"]}"`, SourceScope)
	in := &Input{Header: []event.Field{{Name: "a"}, {Name: "x-github-event", Value: "push"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.String(in); err != nil {
			b.Fatal(err)
		}
	}
}
