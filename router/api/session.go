package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"
	"golang.org/x/time/rate"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/problem"
)

const (
	// sessionCookie holds a random name of a session, never the token.
	sessionCookie = "weir_session"
	// sessionAge is how long a session lasts after it was last used.
	sessionAge = 12 * time.Hour
	// maxSessions bounds memory; the one unused longest makes room.
	maxSessions = 1000
	// loginsPerSecond bounds guesses at the token, all strangers together.
	loginsPerSecond = 5
)

// sessions are those who have signed in at the dashboard. A session is worth what
// its token is worth now: when a reload takes the token away, it ends.
type sessions struct {
	limit *rate.Limiter

	mu   sync.Mutex
	list map[[sha256.Size]byte]*session // by the digest of the cookie
}

type session struct {
	key  [sha256.Size]byte // digest of the token
	used time.Time
}

func newSessions() *sessions {
	return &sessions{limit: rate.NewLimiter(loginsPerSecond, 4*loginsPerSecond), list: map[[sha256.Size]byte]*session{}}
}

// begin makes a session for the digest of a token and returns its cookie.
func (s *sessions) begin(key [sha256.Size]byte, now time.Time) string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	cookie := base64.RawURLEncoding.EncodeToString(secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) >= maxSessions {
		var oldest [sha256.Size]byte
		first := now
		for id, one := range s.list {
			if !one.used.After(first) {
				oldest, first = id, one.used
			}
		}
		delete(s.list, oldest)
	}
	s.list[sha256.Sum256([]byte(cookie))] = &session{key: key, used: now}
	return cookie
}

// find gives the digest of a session's token, and keeps the session alive.
func (s *sessions) find(cookie string, now time.Time) (key [sha256.Size]byte, ok bool) {
	id := sha256.Sum256([]byte(cookie))
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.list[id]
	if one == nil {
		return key, false
	}
	if now.Sub(one.used) > sessionAge {
		delete(s.list, id)
		return key, false
	}
	one.used = now
	return one.key, true
}

func (s *sessions) end(cookie string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.list, sha256.Sum256([]byte(cookie)))
}

// Pages are the dashboard as the server sees it.
type Pages interface {
	// Mount adds the pages that need a token.
	Mount(app fiber.Router)
	// MountPublic adds what strangers may see, such as the sign-in page's style.
	MountPublic(app fiber.Router)
	// SignIn answers with the page that asks for the token, saying why where a
	// message is given. Next is the path to go to afterwards.
	SignIn(c *fiber.Ctx, status int, message, next string) error
}

// signIn takes the token from the form and makes a session of it.
func (s *server) signIn(c *fiber.Ctx) error {
	next := OwnPath(c.FormValue("next"))
	keys := s.engine.Keys()
	if !keys.Any() {
		return c.Redirect(next, http.StatusSeeOther)
	}
	if !sameOrigin(c.Context()) {
		return foreignForm()
	}
	if !s.sessions.limit.AllowN(s.now(), 1) {
		return s.pages.SignIn(c, http.StatusTooManyRequests, "Too many tries: wait a few seconds.", next)
	}
	token := strings.TrimSpace(c.FormValue("token"))
	g := keys.find(token)
	if g == nil {
		return s.pages.SignIn(c, http.StatusUnauthorized, "This router does not know the token.", next)
	}
	if !g.allows([]config.Scope{config.ScopeRead}) {
		return s.pages.SignIn(c, http.StatusForbidden, "The token does not have the scope read.", next)
	}
	c.Cookie(s.cookie(c, s.sessions.begin(keys.digest(token), s.now())))
	return c.Redirect(next, http.StatusSeeOther)
}

func (s *server) signOut(c *fiber.Ctx) error {
	if !sameOrigin(c.Context()) {
		return foreignForm()
	}
	s.sessions.end(c.Cookies(sessionCookie))
	gone := s.cookie(c, "")
	gone.SessionOnly, gone.Expires = false, fasthttp.CookieExpireDelete
	c.Cookie(gone)
	return c.Redirect("/login", http.StatusSeeOther)
}

// cookie is for this router only, and for no script. It goes with the browser.
func (s *server) cookie(c *fiber.Ctx, value string) *fiber.Cookie {
	return &fiber.Cookie{
		Name: sessionCookie, Value: value, Path: "/", HTTPOnly: true, SameSite: fiber.CookieSameSiteStrictMode,
		// A proxy that claims TLS can only make it stricter.
		Secure:      c.Context().IsTLS() || strings.EqualFold(c.Get(fiber.HeaderXForwardedProto), "https"),
		SessionOnly: true,
	}
}

// session finds what the cookie of a request is good for; nil where it has none.
// With a cookie a browser can be led to ask for a change, so where the request
// comes from has to be clear then.
func (s *server) session(ctx *fasthttp.RequestCtx, keys *Keys) (*Grant, error) {
	cookie := utils.UnsafeString(ctx.Request.Header.Cookie(sessionCookie))
	if cookie == "" {
		return nil, nil
	}
	key, ok := s.sessions.find(cookie, s.now())
	if !ok {
		return nil, nil
	}
	g := keys.holder(key)
	if g == nil {
		s.sessions.end(cookie)
		return nil, nil
	}
	if !ctx.IsGet() && !ctx.IsHead() && !sameOrigin(ctx) {
		return nil, foreignForm()
	}
	return g, nil
}

// sameOrigin says whether a request surely comes from a page of this router.
func sameOrigin(ctx *fasthttp.RequestCtx) bool {
	if site := header(ctx, "Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	return ownOrigin(header(ctx, fiber.HeaderOrigin), string(ctx.Request.Host()))
}

func foreignForm() error {
	return problem.New(http.StatusForbidden, "origin_not_allowed", "this is not from a page of this router: its Origin is missing, or another one")
}

// OwnPath is a path of this router, and / where it is none.
func OwnPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

// page says whether a request is for a page, by somebody who can be asked to sign
// in.
func (s *server) page(c *fiber.Ctx) bool {
	return s.pages != nil && c.Method() == fiber.MethodGet && (c.Path() == "/" || strings.HasPrefix(c.Path(), "/ui/")) &&
		c.Get(fiber.HeaderAuthorization) == ""
}

// HasSession says whether a request has a cookie of a session, which need not be
// good for anything any more.
func HasSession(c *fiber.Ctx) bool { return c.Cookies(sessionCookie) != "" }
