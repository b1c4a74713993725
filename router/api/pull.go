package api

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/problem"
)

// Pulls is what the API asks of pull destinations and listeners.
type Pulls interface {
	// PullToken opens a pull destination beside the router's own tokens; empty
	// where there is none.
	PullToken(name string) string
	// Pull gives the messages after a cursor, in order, and none when the time to
	// wait is up or ctx has ended.
	Pull(ctx context.Context, name string, ask PullQuery) (*PullPage, error)
	// Acknowledge ends all up to a cursor as delivered; what is acknowledged
	// already stays so.
	Acknowledge(ctx context.Context, name, cursor string) (*Acknowledged, error)
	// Listen makes a temporary pull destination of events that are still to come.
	Listen(ctx context.Context, events []string) (*Listener, error)
}

// PullQuery asks for messages.
type PullQuery struct {
	// Cursor is that of the last message that is known; empty: all that is not
	// acknowledged.
	Cursor string
	Limit  int
	Wait   time.Duration
}

// PullPage is what a receiver pulls. Next is the cursor to go on with.
type PullPage struct {
	Messages []PullMessage `json:"messages"`
	Next     string        `json:"next"`
}

// PullMessage is a request as a receiver would be sent it.
type PullMessage struct {
	Cursor    string `json:"cursor"`
	WebhookID string `json:"webhook_id"`
	// Headers have lower-case names.
	Headers map[string]string `json:"headers"`
	// Body is text, BodyBase64 what is none.
	Body       string `json:"body,omitempty"`
	BodyBase64 []byte `json:"body_base64,omitempty"`
}

// Acknowledged counts the deliveries that have ended by it.
type Acknowledged struct {
	Acknowledged int `json:"acknowledged"`
}

// Listener is a temporary pull destination.
type Listener struct {
	// Destination is its name below /api/pull.
	Destination string   `json:"destination"`
	Events      []string `json:"events,omitempty"`
	// Cursor is where it begins.
	Cursor string `json:"cursor"`
	// ExpiresSeconds is how long it lives after each request.
	ExpiresSeconds int `json:"expires_seconds"`
}

const (
	pullLimit   = 100
	maxPullWait = 30 * time.Second
)

func (s *server) pull(c *fiber.Ctx) error {
	name, err := nameOf(c)
	if err != nil {
		return err
	}
	q := newQuery(c, "cursor", "limit", "wait")
	ask := PullQuery{Cursor: q.text("cursor"), Limit: pullLimit}
	if c.Query("limit") != "" {
		ask.Limit = q.page().Limit
	}
	if v := c.Query("wait"); v != "" {
		var err error
		if ask.Wait, err = config.ParseDuration(v); err != nil || ask.Wait > maxPullWait {
			q.fail("wait must be a time span of at most 30s, such as 10s, not %q", v)
		}
	}
	if q.err != nil {
		return q.err
	}
	if strings.Contains(c.Get(fiber.HeaderAccept), "text/event-stream") {
		if id := c.Get("Last-Event-ID"); id != "" {
			ask.Cursor = strings.Clone(id)
		}
		return s.pullStream(c, name, ask)
	}
	page, err := s.engine.Pull(context.Background(), name, ask)
	if err != nil {
		return err
	}
	return c.JSON(page)
}

// pullStream sends messages as server-sent events, each with its cursor as id.
func (s *server) pullStream(c *fiber.Ctx, name string, ask PullQuery) error {
	// What is wrong is told before the stream begins.
	page, err := s.engine.Pull(context.Background(), name, ask)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Accel-Buffering", "no")
	conn := c.Context().Conn()
	ask.Wait = streamPing
	c.Context().SetBodyStreamWriter(s.guardedWriter(c.Path(), func(w *bufio.Writer) {
		fmt.Fprint(w, "retry: 1000\n\n")
		for {
			for i := range page.Messages {
				b, err := json.Marshal(&page.Messages[i])
				if err != nil {
					return
				}
				fmt.Fprintf(w, "id: %s\nevent: message\ndata: %s\n\n", page.Messages[i].Cursor, b)
			}
			if len(page.Messages) == 0 {
				fmt.Fprint(w, ":\n\n")
			}
			// The server's own limit is for an answer as a whole.
			if conn.SetWriteDeadline(time.Now().Add(streamWrite)) != nil || w.Flush() != nil {
				return
			}
			ask.Cursor = page.Next
			began := time.Now()
			if page, err = s.engine.Pull(context.Background(), name, ask); err != nil {
				return // the client comes again, and is told
			}
			if len(page.Messages) == 0 && time.Since(began) < streamPing/2 {
				return // the router stops
			}
		}
	}))
	return nil
}

func (s *server) acknowledge(c *fiber.Ctx) error {
	name, err := nameOf(c)
	if err != nil {
		return err
	}
	var ask struct {
		Cursor string `json:"cursor"`
	}
	const like = `{"cursor": "…"}, with that of the last message`
	if err := decode(c, &ask, like); err != nil {
		return err
	}
	if ask.Cursor == "" {
		return problem.New(http.StatusBadRequest, "malformed_json", "the body must be like %s", like)
	}
	done, err := s.engine.Acknowledge(context.Background(), name, ask.Cursor)
	if err != nil {
		return err
	}
	return c.JSON(done)
}

func (s *server) listen(c *fiber.Ctx) error {
	var ask struct {
		Events []string `json:"events"`
	}
	if err := decode(c, &ask, `{"events": ["order.*"]}`); err != nil {
		return err
	}
	l, err := s.engine.Listen(context.Background(), ask.Events)
	if err != nil {
		return err
	}
	return c.Status(http.StatusCreated).JSON(l)
}

// mayPull passes requests that have the token of the pull destination that they
// are for, which opens nothing else. done says that no other token is needed.
func (s *server) mayPull(c *fiber.Ctx) (done bool, err error) {
	rest, ok := strings.CutPrefix(c.Path(), "/api/pull/")
	if !ok {
		return false, nil
	}
	want := s.engine.PullToken(strings.TrimSuffix(rest, "/ack"))
	if want == "" {
		return false, nil
	}
	given, sent := bearer(c.Get(fiber.HeaderAuthorization))
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		return true, nil
	}
	if s.engine.Keys().Any() {
		return false, nil // the router's own may do it, too
	}
	if sent {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer error="invalid_token"`)
		return false, problem.New(http.StatusUnauthorized, "token_unknown", "this pull destination has another token")
	}
	c.Set(fiber.HeaderWWWAuthenticate, "Bearer")
	return false, problem.New(http.StatusUnauthorized, "token_missing", "this pull destination needs its token: send Authorization: Bearer TOKEN")
}
