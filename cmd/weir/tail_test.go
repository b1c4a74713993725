package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// tailing starts weir tail and returns what it has printed so far.
func tailing(t *testing.T, dir string, args ...string) (output func() string) {
	t.Helper()
	cmd := exec.Command(weirBinary, append([]string{"tail"}, args...)...)
	cmd.Dir = dir
	out := &logBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err == nil {
			_ = cmd.Wait() // it was killed
		}
	})
	return out.String
}

// Tail shows events, attempts and states, as words and as JSON, goes on after the
// router was killed, and never sends a stranger's text to the terminal as it came.
func TestTail(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf(`
server {
  listen = %q
}
destination "out" {
  url = "stdout:"
}
destination "gone" {
  url = "http://127.0.0.1:1/"
}
route "all" {
  to = [destination.out]
}
route "lost" {
  events = ["lost.*"]
  to     = [destination.gone]
}
`, address))
	r := serveFile(t, config, address)
	words, lines := tailing(t, dir), tailing(t, dir, "-o", "json", "--kinds", "attempt", "--events", "lost.*", "--destination", "gone")
	send := func(eventType string) {
		t.Helper()
		if code, body := post(t, "http://"+address+"/events", fmt.Sprintf(`{"event":%q,"data":{}}`, eventType)); code != 202 {
			t.Fatal(code, body)
		}
	}
	// Whether a tail listens already is seen by what it shows.
	await(t, "events", func() bool { send("order.paid"); return strings.Contains(words(), "event    order.paid") })
	await(t, "attempts", func() bool { return strings.Contains(words(), "→ out  delivered in") })
	await(t, "failures", func() bool {
		send("lost.one")
		return strings.Contains(words(), "→ gone  refused in") && strings.Contains(lines(), "\n")
	})
	await(t, "the state", func() bool { send("lost.one"); return strings.Contains(words(), "state    gone is failing") })
	var a struct{ Kind, Outcome, Destination, Type string }
	first, _, _ := strings.Cut(lines(), "\n")
	if err := json.Unmarshal([]byte(first), &a); err != nil || a.Kind != "attempt" || a.Outcome != "refused" || a.Destination != "gone" || a.Type != "lost.one" {
		t.Errorf("%v: %s", err, first)
	}
	if stdout, _, code := weir(t, dir, "tail", "--kinds", "evnt"); code != 1 || stdout != "" {
		t.Errorf("an unknown kind: %d %s", code, stdout)
	}
	r.kill()
	await(t, "the loss to be told", func() bool { return strings.Contains(words(), "the connection is lost") })
	serveFile(t, config, address)
	await(t, "it to go on", func() bool { send("order.shipped"); return strings.Contains(words(), "event    order.shipped") })
}

func TestTailNeedsARouter(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "router.hcl", fmt.Sprintf("server {\n  listen = %q\n}\n", freeAddress(t)))
	if _, stderr, code := weir(t, dir, "tail"); code != 1 || !strings.Contains(stderr, "router") {
		t.Errorf("%d %s", code, stderr)
	}
}
