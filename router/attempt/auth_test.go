package attempt

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
)

func TestBasicAndBearer(t *testing.T) {
	for _, c := range []struct {
		auth config.Auth
		want string
	}{
		{config.Auth{Kind: "basic", Username: "weir", Password: "p:ß"}, "Basic d2VpcjpwOsOf"},
		{config.Auth{Kind: "bearer", Token: "tok.en"}, "Bearer tok.en"},
	} {
		server, got := keeping(t)
		d := destination(t, server.URL)
		d.Auth = &c.auth
		sendOK(t, open(t, d), delivery())
		if a := <-got; a.header.Get("Authorization") != c.want {
			t.Errorf("authorization is %q, want %q", a.header.Get("Authorization"), c.want)
		}
		d.Headers = []event.Field{{Name: "authorization", Value: "x"}}
		if _, err := Open(d, Options{}); err == nil {
			t.Error("two authorizations are taken")
		}
	}
}

// issuer gives tokens: token-1, token-2, and so on.
type issuer struct {
	*httptest.Server
	asked  atomic.Int64
	answer func(w http.ResponseWriter, n int64) // nil: a token
	form   chan string
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{form: make(chan string, 100)}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := i.asked.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if got := r.Header.Get("User-Agent"); got != UserAgent {
			t.Errorf("a token is asked for by %q, not %q", got, UserAgent)
		}
		user, password, _ := r.BasicAuth()
		i.form <- user + " " + password + " " + string(body)
		w.Header().Set("Content-Type", "application/json")
		if i.answer != nil {
			i.answer(w, n)
			return
		}
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer","expires_in":3600}`, n)
	}))
	t.Cleanup(i.Close)
	return i
}

func oauth2Destination(t *testing.T, target string, i *issuer) *config.Destination {
	d := destination(t, target)
	d.Auth = &config.Auth{Kind: "oauth2", TokenURL: i.URL + "/token", ClientID: "weir", ClientSecret: config.Secret("hunter2 " + t.Name())}
	return d
}

func TestOAuth2OneTokenForMany(t *testing.T) {
	i := newIssuer(t)
	server, got := keeping(t)
	d := oauth2Destination(t, server.URL, i)
	d.Auth.Scopes, d.Auth.Audience = []string{"one", "two"}, "crm"
	// Two destinations that are configured alike, as by for_each.
	first, second := open(t, d), open(t, d)
	var all sync.WaitGroup
	for n := range 8 {
		s := []Sender{first, second}[n%2]
		all.Go(func() {
			if o := s.Send(t.Context(), delivery()); !o.OK {
				t.Errorf("outcome is %+v", o)
			}
		})
	}
	all.Wait()
	for range 8 {
		if a := <-got; a.header.Get("Authorization") != "Bearer token-1" {
			t.Errorf("authorization is %q", a.header.Get("Authorization"))
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("%d requests for a token", n)
	}
	if form := <-i.form; !strings.HasPrefix(form, "weir hunter2+") || !strings.Contains(form, "grant_type=client_credentials") ||
		!strings.Contains(form, "scope=one+two") || !strings.Contains(form, "audience=crm") {
		t.Errorf("asked with %q", form)
	}
	// Other scopes are another token.
	d.Auth = &config.Auth{Kind: "oauth2", TokenURL: i.URL + "/token", ClientID: "weir", ClientSecret: d.Auth.ClientSecret}
	sendOK(t, open(t, d), delivery())
	if a := <-got; a.header.Get("Authorization") != "Bearer token-2" {
		t.Errorf("authorization is %q", a.header.Get("Authorization"))
	}
}

// A receiver that does not take a token is sent the delivery once more with a new
// one, once.
func TestOAuth2RefreshedOn401(t *testing.T) {
	for _, c := range []struct {
		name    string
		takes   string // which token the receiver takes
		ok      bool
		tokens  int64
		arrived int64
	}{
		{"the next one", "Bearer token-2", true, 2, 2},
		{"none", "", false, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newIssuer(t)
			var arrived atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				arrived.Add(1)
				if r.Header.Get("Authorization") != c.takes {
					w.WriteHeader(http.StatusUnauthorized)
				}
			}))
			defer server.Close()
			s := open(t, oauth2Destination(t, server.URL, i))
			o := s.Send(t.Context(), delivery())
			if o.OK != c.ok || !c.ok && (o.Reason != ReasonStatus || o.Status != 401) {
				t.Errorf("outcome is %+v", o)
			}
			if i.asked.Load() != c.tokens || arrived.Load() != c.arrived {
				t.Errorf("%d tokens, %d requests", i.asked.Load(), arrived.Load())
			}
		})
	}
}

func TestOAuth2EndsInTime(t *testing.T) {
	i := newIssuer(t)
	i.answer = func(w http.ResponseWriter, n int64) {
		// Shorter than what is taken off its end: it can be used once only.
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":5}`, n)
	}
	server, got := keeping(t)
	s := open(t, oauth2Destination(t, server.URL, i))
	for n := 1; n <= 2; n++ {
		sendOK(t, s, delivery())
		if a := <-got; a.header.Get("Authorization") != fmt.Sprintf("Bearer token-%d", n) {
			t.Errorf("authorization is %q", a.header.Get("Authorization"))
		}
	}
}

func TestOAuth2Failures(t *testing.T) {
	hang := make(chan struct{})
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter, n int64)
		want   string
	}{
		{"refused", func(w http.ResponseWriter, _ int64) {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"error":"invalid_client","error_description":"hunter2 is wrong"}`)
		}, "401 Unauthorized (invalid_client)"},
		{"not JSON", func(w http.ResponseWriter, _ int64) { io.WriteString(w, "hunter2") }, "gave no token"},
		{"no token", func(w http.ResponseWriter, _ int64) { io.WriteString(w, `{"token_type":"hunter2"}`) }, "gave no token"},
		{"a token with a line break", func(w http.ResponseWriter, _ int64) {
			io.WriteString(w, `{"access_token":"hunter2\r\nX-Injected: 1","token_type":"Bearer"}`)
		}, "gave no token that can be used"},
		{"redirect", func(w http.ResponseWriter, _ int64) {
			w.Header().Set("Location", "http://127.0.0.1:1/hunter2")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, "307"},
		{"endless", func(w http.ResponseWriter, _ int64) {
			io.WriteString(w, `{"access_token":"`)
			for range 40 {
				if _, err := io.WriteString(w, strings.Repeat("hunter2", 10000)); err != nil {
					return
				}
			}
		}, "gave no token"},
		{"hangs", func(http.ResponseWriter, int64) { <-hang }, "in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newIssuer(t)
			i.answer = c.answer
			server, got := keeping(t)
			d := oauth2Destination(t, server.URL, i)
			if c.name == "hangs" {
				d.Timeout = 50 * time.Millisecond
				t.Cleanup(func() { close(hang) }) // before the issuer waits for its handlers
			}
			s := open(t, d)
			o := s.Send(t.Context(), delivery())
			if o.OK || o.Reason != ReasonAuth || !strings.Contains(o.Error, c.want) || strings.Contains(o.Error, "hunter2") {
				t.Errorf("outcome is %+v, want %q", o, c.want)
			}
			if len(got) > 0 {
				t.Error("it was sent without a token")
			}
			if c.name == "hangs" {
				return
			}
			before := i.asked.Load()
			if o := s.Send(t.Context(), delivery()); o.Reason != ReasonAuth {
				t.Errorf("outcome is %+v", o)
			}
			if i.asked.Load() != before {
				t.Error("it was asked for again at once")
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		i := newIssuer(t)
		server, _ := keeping(t)
		s := open(t, oauth2Destination(t, server.URL, i))
		i.Close()
		if o := s.Send(t.Context(), delivery()); o.Reason != ReasonAuth || !strings.Contains(o.Error, "could not be asked") {
			t.Errorf("outcome is %+v", o)
		}
	})
}

// A reload that changes nothing of the client keeps its token; one that does asks
// again.
func TestOAuth2AcrossReloads(t *testing.T) {
	i := newIssuer(t)
	server, got := keeping(t)
	d := oauth2Destination(t, server.URL, i)
	before, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sendOK(t, before, delivery())
	after := open(t, d) // the new one is opened before the old one is closed
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	sendOK(t, after, delivery())
	for range 2 {
		if a := <-got; a.header.Get("Authorization") != "Bearer token-1" {
			t.Errorf("authorization is %q", a.header.Get("Authorization"))
		}
	}
	other := *d.Auth
	other.ClientSecret += "!"
	d.Auth = &other
	sendOK(t, open(t, d), delivery())
	if a := <-got; a.header.Get("Authorization") != "Bearer token-2" {
		t.Errorf("authorization is %q", a.header.Get("Authorization"))
	}
}
