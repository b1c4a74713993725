package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
)

const (
	defaultLimit = 50
	maxLimit     = 1000
)

// query reads a list's parameters. The first mistake is kept; an unknown
// parameter is one too, because a filter that is ignored shows too much.
type query struct {
	c   *fiber.Ctx
	err error
}

func newQuery(c *fiber.Ctx, known ...string) *query {
	q := &query{c: c}
	for name := range c.Queries() {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				q.fail("there is no parameter %q here, nor any other", name)
			}
			q.fail("there is no parameter %q here; there are %s", name, strings.Join(known, ", "))
		}
	}
	return q
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = problem.New(http.StatusBadRequest, "bad_parameter", format, args...)
	}
}

// text copies, because the connection's buffer is reused.
func (q *query) text(name string) string { return strings.Clone(q.c.Query(name)) }

func (q *query) time(name string) time.Time {
	v := q.c.Query(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		q.fail("%s must be a time such as 2024-01-01T12:00:00Z, not %q", name, v)
	}
	return t
}

func (q *query) page() store.Page {
	p := store.Page{Cursor: q.text("cursor"), Limit: defaultLimit}
	if v := q.c.Query("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxLimit {
			q.fail("limit must be a number from 1 to %d, not %q", maxLimit, v)
		}
		p.Limit = n
	}
	return p
}

// state is that of a delivery as the store knows it, or one of others.
func (q *query) state(name string, others ...store.State) store.State {
	words := []string{string(store.Waiting), string(store.Retrying), string(store.Delivered), string(store.Dead), string(store.Cancelled)}
	for _, o := range others {
		words = append(words, string(o))
	}
	return store.State(q.oneOf(name, words...))
}

// someOf is a parameter that has some of the words, with commas between, or none.
func (q *query) someOf(name string, words []string) []string {
	text := q.text(name)
	if text == "" {
		return nil
	}
	list := strings.Split(text, ",")
	for _, v := range list {
		if !slices.Contains(words, v) {
			q.fail("%s must be one or more of %s with commas between, not %q", name, strings.Join(words, ", "), text)
		}
	}
	return list
}

// oneOf is a parameter that is one of some words, or empty.
func (q *query) oneOf(name string, words ...string) string {
	v := q.text(name)
	if v != "" && !slices.Contains(words, v) {
		q.fail("%s must be one of %s, not %q", name, strings.Join(words, ", "), v)
	}
	return v
}
