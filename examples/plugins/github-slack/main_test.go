package main

import "testing"

func TestEventNameWithoutHeader(t *testing.T) {
	for typ, want := range map[string]string{"github.pull_request": "pull_request", "push": "push", "a.b.issues": "issues"} {
		if got := eventName("", typ); got != want {
			t.Errorf("%s: got %q, want %q", typ, got, want)
		}
	}
}
