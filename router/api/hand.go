package api

import (
	"reflect"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// hand is where an answer goes that stays in this process.
type hand struct {
	into  any
	given bool
}

type handKey struct{}

// IntoHand asks for the answer to a question of this process: a value of the type
// that is the answer's JSON goes where into points, as it is, and given then says so.
// Else, as for a problem, the answer is written as for everybody. Who may ask is
// decided in the same way.
func IntoHand(ctx *fasthttp.RequestCtx, into any) (given func() bool) {
	h := &hand{into: into}
	ctx.SetUserValue(handKey{}, h)
	return func() bool { return h.given }
}

// give answers with v, which the handler must not use any more.
func give(c *fiber.Ctx, v any) error {
	h, ok := c.Context().UserValue(handKey{}).(*hand)
	if !ok {
		return c.JSON(v)
	}
	to, from := reflect.ValueOf(h.into).Elem(), reflect.ValueOf(v)
	if from.Kind() == reflect.Pointer {
		from = from.Elem()
	}
	if !from.IsValid() || from.Type() != to.Type() {
		return c.JSON(v)
	}
	to.Set(from)
	h.given = true
	return nil
}
