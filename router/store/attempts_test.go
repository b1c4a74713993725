package store

import "testing"

func TestAppendAttemptIsBounded(t *testing.T) {
	var list []Attempt
	for i := 1; i <= 1000; i++ {
		list = AppendAttempt(list, Attempt{Number: i, Body: []byte("answer")})
	}
	if len(list) != MaxAttempts || list[0].Number != 1 || list[1].Number != 1000-MaxAttempts+2 || list[len(list)-1].Number != 1000 {
		t.Errorf("%d are kept, from %d and %d to %d", len(list), list[0].Number, list[1].Number, list[len(list)-1].Number)
	}
	bodies := 0
	for i, a := range list {
		if len(a.Body) > 0 {
			bodies++
			if i < len(list)-MaxAttemptBodies {
				t.Errorf("attempt %d keeps its body", a.Number)
			}
		}
	}
	if bodies != MaxAttemptBodies {
		t.Errorf("%d bodies are kept, want %d", bodies, MaxAttemptBodies)
	}
}

func TestRef(t *testing.T) {
	for _, r := range []Ref{{Position: 1}, {Position: 1, Index: 7}, {Position: 1<<64 - 1, Index: 1<<32 - 1}, {}} {
		got, err := ParseRef(r.String())
		if err != nil || got != r {
			t.Errorf("%v came back as %v, %v", r, got, err)
		}
		if r.Position < 1<<63 && !r.Less(r.Next()) {
			t.Errorf("%v is not before %v", r, r.Next())
		}
	}
	for _, s := range []string{"", "dlv_", "dlv_0000000000000000000", "dlv_000000000000000000000", "evt_00000000000000000000", "dlv_0000000000000000000u", "dlv_00000000000000000/00"} {
		if r, err := ParseRef(s); err == nil {
			t.Errorf("%q is read as %v", s, r)
		}
	}
	if a, b := (Ref{1, 9}), (Ref{2, 0}); !a.Less(b) || b.Less(a) || a.Less(a) {
		t.Error("references are not in order of position, then index")
	}
}
