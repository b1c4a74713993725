package attempt

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"github.com/weirhq/weir/router/config"
)

const (
	// tokenTimeout bounds one request for a token.
	tokenTimeout = 10 * time.Second
	// tokenAgain is how long a failure stands for those that ask next, so that a
	// queue of deliveries does not become a queue of requests for tokens.
	tokenAgain = time.Second
	// tokenEarly is how long before its end a token is not used any more.
	tokenEarly = 10 * time.Second
)

// errToken is why there is no token. It holds no secret.
type errToken struct{ text string }

func (e errToken) Error() string { return e.text }

// tokens gives the access tokens of one client (RFC 6749, section 4.4). All
// destinations that are configured alike share one, so a token is asked for once
// for all of them, and a reload keeps it.
type tokens struct {
	key    [sha256.Size]byte
	holds  int // under tokenSources' lock
	config clientcredentials.Config
	client *http.Client
	host   string // for messages
	ctx    context.Context
	cancel context.CancelFunc
	flight singleflight.Group

	mu     sync.Mutex
	token  *oauth2.Token // nil: none
	failed error
	at     time.Time // when it failed
}

var tokenSources = struct {
	sync.Mutex
	byKey map[[sha256.Size]byte]*tokens
}{byKey: map[[sha256.Size]byte]*tokens{}}

// holdTokens returns the tokens of a destination. release gives them back.
func holdTokens(c *config.Destination) *tokens {
	key := tokensKey(c)
	tokenSources.Lock()
	defer tokenSources.Unlock()
	t := tokenSources.byKey[key]
	if t == nil {
		t = newTokens(c)
		t.key = key
		tokenSources.byKey[key] = t
	}
	t.holds++
	return t
}

func (t *tokens) release() {
	tokenSources.Lock()
	defer tokenSources.Unlock()
	if t.holds--; t.holds == 0 {
		delete(tokenSources.byKey, t.key)
		t.cancel()
	}
}

// tokensKey is over all that a token depends on.
func tokensKey(c *config.Destination) [sha256.Size]byte {
	a := c.Auth
	parts := append([]string{a.TokenURL, a.ClientID, a.ClientSecret.Reveal(), a.Audience, fmt.Sprint(c.Direct)}, a.Scopes...)
	if c.Proxy != nil {
		parts = append(parts, "proxy", c.Proxy.String())
	}
	if c.TLS != nil {
		parts = append(parts, "ca", string(c.TLS.CA))
	}
	b, _ := json.Marshal(parts) // a list of texts has no error
	return sha256.Sum256(b)
}

func newTokens(c *config.Destination) *tokens {
	a := c.Auth
	t := &tokens{config: clientcredentials.Config{
		ClientID: a.ClientID, ClientSecret: a.ClientSecret.Reveal(), TokenURL: a.TokenURL, Scopes: a.Scopes,
	}}
	if a.Audience != "" {
		t.config.EndpointParams = url.Values{"audience": {a.Audience}}
	}
	if u, err := url.Parse(a.TokenURL); err == nil {
		t.host = u.Host
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: MaxHeader,
		TLSClientConfig: &tls.Config{RootCAs: tokenRoots(c.TLS)}, ForceAttemptHTTP2: true,
	}
	switch {
	case c.Proxy != nil:
		transport.Proxy = http.ProxyURL(c.Proxy)
	case c.Direct:
		transport.Proxy = nil
	}
	t.client = &http.Client{Transport: named{transport}, Timeout: tokenTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// named tells who asks, as requests of deliveries do.
type named struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", UserAgent)
	return n.next.RoundTrip(r)
}

// tokenRoots are the system's roots and those of the destination: who gives tokens
// is often another's, and often not. Nil is the system's.
func tokenRoots(t *config.ClientTLS) *x509.CertPool {
	if t == nil || len(t.CA) == 0 {
		return nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(t.CA)
	return roots
}

// get returns a token and the header's value that carries it, from memory or, by
// one request for all who wait, from the endpoint. Its errors are errToken and
// those of ctx and the deadline.
func (t *tokens) get(ctx context.Context, deadline time.Time) (token, authorization string, err error) {
	got, err := t.cached()
	if err != nil {
		return "", "", err
	}
	if got == nil {
		if !deadline.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline)
			defer cancel()
		}
		select {
		case r := <-t.flight.DoChan("", t.fetch):
			if r.Err != nil {
				return "", "", r.Err
			}
			got, _ = r.Val.(*oauth2.Token)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return "", "", errToken{"no token came in time from " + t.host}
			}
			return "", "", ctx.Err()
		}
	}
	return got.AccessToken, got.Type() + " " + got.AccessToken, nil
}

// cached returns the token that is there, or what went wrong just now, or neither.
func (t *tokens) cached() (*oauth2.Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != nil && time.Since(t.at) < tokenAgain {
		return nil, t.failed
	}
	if t.token != nil && (t.token.Expiry.IsZero() || time.Until(t.token.Expiry) > tokenEarly) {
		return t.token, nil
	}
	return nil, nil
}

// drop forgets a token that a receiver did not take, unless there is another one
// already.
func (t *tokens) drop(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != nil && t.token.AccessToken == token {
		t.token = nil
	}
}

// fetch asks the endpoint. It is not the attempt's: others may wait for it too.
func (t *tokens) fetch() (any, error) {
	if got, err := t.cached(); got != nil || err != nil {
		return got, err // it came while this was on its way here
	}
	ctx, cancel := context.WithTimeout(context.WithValue(t.ctx, oauth2.HTTPClient, t.client), 2*tokenTimeout)
	defer cancel()
	got, err := t.config.Token(ctx)
	if err == nil {
		err = checkField("Authorization", got.Type()+" "+got.AccessToken)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.token, t.failed, t.at = nil, errToken{t.explain(err)}, time.Now()
		return nil, t.failed
	}
	t.token, t.failed = got, nil
	return got, nil
}

// explain says why there is no token, without what the endpoint said beyond its
// code: it may repeat what it was sent.
func (t *tokens) explain(err error) string {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		text := fmt.Sprintf("%s gave no token: it answered %s", t.host, status(refused.Response.StatusCode))
		if validCode(refused.ErrorCode) {
			text += " (" + refused.ErrorCode + ")"
		}
		return text
	}
	var asked *url.Error
	if errors.As(err, &asked) {
		return fmt.Sprintf("%s could not be asked for a token: %s", t.host, shorten(asked.Err.Error()))
	}
	return t.host + " gave no token that can be used"
}

// validCode reports whether s is like a code of RFC 6749, section 5.2.
func validCode(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}
