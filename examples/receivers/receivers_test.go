// Package receivers runs the receivers beside it against Weir's own sender.
package receivers

import (
	"bufio"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// start runs a receiver and returns its URL and the lines that it prints.
func start(t *testing.T, program string, arguments ...string) (string, <-chan string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, arguments...)
	c.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret, "ADDR=127.0.0.1:0")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may have ended
		<-done
		_ = c.Wait() // it was killed
	})
	target, ok := strings.CutPrefix(next(t, lines), "listening on ")
	if !ok {
		t.Fatal("it does not say where it listens")
	}
	return target, lines
}

func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	select {
	case line, ok := <-lines:
		if !ok {
			t.Fatal("the receiver has ended")
		}
		return line
	case <-time.After(time.Minute):
		t.Fatal("nothing was printed within a minute")
	}
	return ""
}

func TestReceivers(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "receiver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, command := range map[string][]string{
		"go": {binary}, "node": {"node", "node/receiver.mjs"}, "python": {"python3", "python/receiver.py"},
	} {
		t.Run(name, func(t *testing.T) {
			target, lines := start(t, command[0], command[1:]...)
			send := func(secret config.Secret, id string, at time.Time, previous ...config.Secret) int {
				t.Helper()
				u, err := url.Parse(target)
				if err != nil {
					t.Fatal(err)
				}
				s, err := attempt.Open(&config.Destination{
					Name: name, URL: target, Parsed: u, Secret: secret, PreviousSecrets: previous, Timeout: time.Minute, Concurrency: 1, Direct: true,
				}, attempt.Options{})
				if err != nil {
					t.Fatal(err)
				}
				o := s.Send(t.Context(), &attempt.Delivery{
					WebhookID: id, EventType: "order.paid", Number: 1, Body: []byte(`{"total": 1.0, "name": "Zoë"}`), ContentType: "application/json", Time: at,
				})
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if o.Status == 0 {
					t.Fatalf("outcome is %+v", o)
				}
				return o.Status
			}
			for _, c := range []struct {
				name     string
				secret   config.Secret
				id       string
				at       time.Time
				previous []config.Secret
				status   int
			}{
				{"new", secret, "msg_1", time.Now(), nil, 204},
				{"again", secret, "msg_1", time.Now(), nil, 204},
				{"another secret", "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=", "msg_2", time.Now(), nil, 401},
				{"rotated, and this is the old one", "another", "msg_3", time.Now(), []config.Secret{secret}, 204},
				{"stale", secret, "msg_4", time.Now().Add(-6 * time.Minute), nil, 401},
				{"of the future", secret, "msg_5", time.Now().Add(6 * time.Minute), nil, 401},
				{"unsigned", "", "msg_6", time.Now(), nil, 401},
				{"last", secret, "msg_7", time.Now(), nil, 204},
			} {
				if got := send(c.secret, c.id, c.at, c.previous...); got != c.status {
					t.Errorf("%s: answered %d, want %d", c.name, got, c.status)
				}
			}
			// Each event once, and none that was refused.
			for _, id := range []string{"msg_1", "msg_3", "msg_7"} {
				if line := next(t, lines); line != "done "+id+" 30 bytes" {
					t.Errorf("printed %q, want %s", line, id)
				}
			}
		})
	}
}
