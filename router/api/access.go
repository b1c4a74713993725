package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/source"
)

// Keys are the tokens that open a router. They are kept as digests, so that
// neither a dump of memory nor the time of a comparison tells one. A nil *Keys
// has none. It is immutable.
type Keys struct {
	list []key
}

// salt makes digests worthless outside of this process.
var salt = func() (b [sha256.Size]byte) {
	_, _ = rand.Read(b[:]) // it never fails
	return b
}()

type key struct {
	digest [sha256.Size]byte
	grant  Grant
}

// Grant is what a request may do, by its token.
type Grant struct {
	// Name is that of the access block; empty for the router's own token.
	Name   string
	Scopes []config.Scope
}

// allows says whether one of the scopes is granted.
func (g *Grant) allows(scopes []config.Scope) bool {
	return slices.ContainsFunc(scopes, func(s config.Scope) bool { return slices.Contains(g.Scopes, s) })
}

// NewKeys takes the tokens of a configuration; nil where it has none.
func NewKeys(list []config.Key) *Keys {
	if len(list) == 0 {
		return nil
	}
	k := &Keys{}
	for _, c := range list {
		k.list = append(k.list, key{k.digest(c.Token.Reveal()), Grant{Name: c.Name, Scopes: c.Scopes}})
	}
	return k
}

// Any says whether a token is needed.
func (k *Keys) Any() bool { return k != nil }

func (k *Keys) digest(token string) [sha256.Size]byte {
	return sha256.Sum256(append(salt[:len(salt):len(salt)], token...))
}

// find compares with every key, in a time that does not depend on which fits.
func (k *Keys) find(token string) *Grant { return k.holder(k.digest(token)) }

// holder is find by a token's digest.
func (k *Keys) holder(digest [sha256.Size]byte) *Grant {
	var found *Grant
	for i := range k.list {
		if subtle.ConstantTimeCompare(digest[:], k.list[i].digest[:]) == 1 {
			found = &k.list[i].grant
		}
	}
	return found
}

// grant finds what the request's token is good for. The error is a problem.
func (s *server) grant(ctx *fasthttp.RequestCtx, keys *Keys) (*Grant, error) {
	token, ok := bearer(header(ctx, fiber.HeaderAuthorization))
	if !ok && s.sessions != nil {
		if g, err := s.session(ctx, keys); g != nil || err != nil {
			return g, err
		}
	}
	if !ok {
		ctx.Response.Header.Set(fiber.HeaderWWWAuthenticate, "Bearer")
		return nil, problem.New(http.StatusUnauthorized, "token_missing", "this needs a token: send Authorization: Bearer TOKEN (weir has --token and WEIR_TOKEN)")
	}
	g := keys.find(token)
	if g == nil {
		ctx.Response.Header.Set(fiber.HeaderWWWAuthenticate, `Bearer error="invalid_token"`)
		return nil, problem.New(http.StatusUnauthorized, "token_unknown", "this router does not know the token")
	}
	return g, nil
}

// bearer takes the token out of an Authorization header (RFC 6750, section 2.1).
// The scheme's case does not count.
func bearer(header string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimLeft(token, " ")
	return token, token != "" && strings.EqualFold(scheme, "bearer")
}

// require passes requests whose token has one of the scopes.
func (s *server) require(ctx *fasthttp.RequestCtx, scopes []config.Scope) error {
	keys := s.engine.Keys()
	if !keys.Any() {
		return nil
	}
	g, err := s.grant(ctx, keys)
	if err != nil {
		return err
	}
	if !g.allows(scopes) {
		ctx.Response.Header.Set(fiber.HeaderWWWAuthenticate, `Bearer error="insufficient_scope"`)
		return problem.New(http.StatusForbidden, "scope_missing", "the token may not do this: it needs the scope %s", join(scopes)).With("needs", scopes)
	}
	return nil
}

func join(scopes []config.Scope) string {
	list := make([]string, len(scopes))
	for i, s := range scopes {
		list[i] = string(s)
	}
	return strings.Join(list, " or ")
}

// ingesting is what a token needs at a source.
var ingesting = []config.Scope{config.ScopeIngest}

// mayIngest asks for a token where the source knows nobody by itself.
func (s *server) mayIngest(ctx *fasthttp.RequestCtx, src *source.Source) error {
	if src.Verified() {
		return nil
	}
	return s.require(ctx, ingesting)
}

// authorize stands before everything but ingest and health, so that what is
// added later is closed by itself.
func (s *server) authorize(c *fiber.Ctx) error {
	secure(c.Context())
	if done, err := s.mayPull(c); done || err != nil {
		if err != nil {
			return err
		}
		return c.Next()
	}
	if err := s.require(c.Context(), needed(c.Method(), c.Path())); err != nil {
		var p *problem.Problem
		if errors.As(err, &p) && p.Status == http.StatusUnauthorized && s.page(c) {
			return c.Redirect("/login?next="+url.QueryEscape(c.OriginalURL()), http.StatusSeeOther)
		}
		return err
	}
	return c.Next()
}

// needed is what a call takes, one of them. A call that it does not know is a
// change of the router.
func needed(method, path string) []config.Scope {
	switch method {
	case fiber.MethodGet, fiber.MethodHead, fiber.MethodOptions:
		return []config.Scope{config.ScopeRead}
	}
	path = strings.TrimRight(path, "/")
	switch {
	case path == "/api/webhooks" || strings.HasPrefix(path, "/api/webhooks/"):
		return []config.Scope{config.ScopeWebhooks, config.ScopeAdmin}
	case path == "/api/explain", path == "/api/listeners": // they ask, with a body
		return []config.Scope{config.ScopeRead}
	}
	return []config.Scope{config.ScopeAdmin}
}

// known says whether a request may see more than a stranger does.
func (s *server) known(c *fiber.Ctx) bool {
	keys := s.engine.Keys()
	if !keys.Any() {
		return true
	}
	token, ok := bearer(header(c.Context(), fiber.HeaderAuthorization))
	if !ok {
		return false
	}
	g := keys.find(token)
	return g != nil && g.allows([]config.Scope{config.ScopeRead})
}
