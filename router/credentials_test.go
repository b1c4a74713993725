package router

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/router/config"
)

// A reload changes a destination's secret and auth while an attempt is in flight:
// that one ends with the old ones, and its next try, like every later attempt, has
// the new ones only.
func TestReloadChangesCredentials(t *testing.T) {
	type arrival struct{ auth, signature, attempt, body string }
	arrived, answer := make(chan arrival), make(chan int)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		arrived <- arrival{req.Header.Get("Authorization"), req.Header.Get("X-Webhook-Signature"), req.Header.Get("X-Webhook-Attempt"), string(body)}
		w.WriteHeader(<-answer)
	}))
	defer receiver.Close()
	var mu sync.Mutex
	grants := []string{}
	grant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, secret, _ := req.BasicAuth()
		mu.Lock()
		grants = append(grants, secret)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"for-%s","token_type":"Bearer","expires_in":3600}`, secret)
	}))
	defer grant.Close()

	const oldSecret, newSecret = "the old secret of crm", "the new secret of crm"
	auth := func(kind, attributes string) string { return fmt.Sprintf("  auth %q {\n%s  }\n", kind, attributes) }
	oauth2 := func(secret string) string {
		return auth("oauth2", fmt.Sprintf("    token_url = %q\n    client_id = \"weir\"\n    client_secret = %q\n", grant.URL, secret))
	}
	for name, c := range map[string]struct{ before, after, sent, then string }{
		"bearer": {auth("bearer", "    token = \"first-token\"\n"), auth("bearer", "    token = \"second-token\"\n"), "Bearer first-token", "Bearer second-token"},
		"oauth2": {oauth2("first"), oauth2("second"), "Bearer for-first", "Bearer for-second"},
		"none":   {auth("basic", "    username = \"u\"\n    password = \"p\"\n"), "", "Basic dTpw", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			hcl := func(secret, auth string) string {
				return fmt.Sprintf("destination \"crm\" {\n  url = %q\n  secret = %q\n%s  retry {\n    schedule = [\"0s\", \"1ms\"]\n  }\n}\nroute \"all\" {\n  to = [destination.crm]\n}\n", receiver.URL, secret, auth)
			}
			running := hcl(oldSecret, c.before)
			r := start(t, dir, running, Options{Load: func() (*config.Config, error) { return parse(t, dir, running), nil }})
			expect := func(secret, auth, attempt string) {
				t.Helper()
				var a arrival
				select {
				case a = <-arrived:
				case <-time.After(time.Minute):
					t.Fatal("no attempt came")
				}
				if a.signature != hmacOf(secret, a.body) || a.auth != auth || a.attempt != attempt {
					t.Errorf("got %+v, want auth %q, attempt %s and a signature by %q", a, auth, attempt, secret)
				}
			}
			publish(t, r, "order.paid", "one")
			expect(oldSecret, c.sent, "1")
			running = hcl(newSecret, c.after)
			if _, err := r.ReloadFiles(context.Background(), false); err != nil {
				t.Fatal(err)
			}
			answer <- 500 // to the attempt that was in flight
			expect(newSecret, c.then, "2")
			answer <- 200
			publish(t, r, "order.paid", "two")
			expect(newSecret, c.then, "1")
			answer <- 200
		})
	}
	if got := strings.Join(grants, " "); got != "first second" {
		t.Errorf("tokens were granted to %q", got)
	}
}
