package api

import (
	"bufio"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/problem"
)

// codeInternal is the code of a problem that is a fault of the router's own.
const codeInternal = "internal_error"

// guarded answers 500 where the handler of a request panics: one fault in a page must
// not end the router that delivers for everybody. What is stored is whole all the same,
// for records are atomic, and an event that was not answered is sent again. Locks that
// are not unlocked by defer are held for a few lines of work on maps.
func (s *server) guarded(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		defer func() {
			if cause := recover(); cause != nil {
				s.panicked(ctx, cause)
			}
		}()
		next(ctx)
	}
}

// panicked answers in the place of a handler that panicked with cause, and logs the
// stack of where it did. It is called while that unwinds.
func (s *server) panicked(ctx *fasthttp.RequestCtx, cause any) {
	s.log.Error("a request met a fault of the router", "method", string(ctx.Method()), "path", strings.Clone(pathOf(ctx)), "panic", cause, "stack", string(debug.Stack()))
	// Nothing of what it was about to answer, a 202 least of all.
	ctx.Response.Reset()
	// Some of the request may not have been read.
	ctx.SetConnectionClose()
	if s.fail(ctx, problem.New(http.StatusInternalServerError, codeInternal, "the router met a fault of its own; its log says where")) != nil {
		ctx.Error(http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
}

// guardedWriter is guarded for what writes an answer by and by, in a goroutine of its
// own. The answer then ends where it is.
func (s *server) guardedWriter(path string, write fasthttp.StreamWriter) fasthttp.StreamWriter {
	path = strings.Clone(path)
	return func(w *bufio.Writer) {
		defer func() {
			if cause := recover(); cause != nil {
				s.log.Error("a stream met a fault of the router", "path", path, "panic", cause, "stack", string(debug.Stack()))
			}
		}()
		write(w)
	}
}
