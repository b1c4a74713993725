package api

import "testing"

func TestAnswerIsEncodedAsJSONWouldBe(t *testing.T) {
	for _, a := range []Accepted{
		{EventID: "evt_01", Status: "accepted"},
		{EventID: "a.b:c-d_e", Status: "duplicate", Differs: true},
		{EventID: "\"\\\n<é>", Status: "duplicate"},
	} {
		want, err := marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.appendJSON(nil); string(got) != string(want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
