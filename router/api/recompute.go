package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/store"
)

// Bounds of what an explanation recomputes, so that asking costs the stream
// little.
const (
	// rehearsals is how many explanations run plugins at a time.
	rehearsals = 2
	// rehearseFor is how long one of them goes on.
	rehearseFor = 5 * time.Second
	// shownData bounds the bytes shown of one message, shownAll those of all of them
	// together, and diffed the text of which a difference is looked for.
	shownData = 16 << 10
	shownAll  = 1 << 20
	diffed    = 256 << 10
)

// recomputing runs plugins again for one explanation.
type recomputing struct {
	ctx  context.Context
	left int // bytes that may still be shown
}

// recompute begins it. Whoever calls it calls end at last. An error says that the
// one who asks went away.
func (s *server) recompute(ctx context.Context) (r *recomputing, end func(), err error) {
	select {
	case s.rehearsing <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	// A context that is made from fasthttp's watches it in a goroutine, which reads
	// what the server's end writes. The time is bound enough.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rehearseFor)
	return &recomputing{ctx: ctx, left: shownAll}, func() { cancel(); <-s.rehearsing }, nil
}

// match recomputes what a table's route did with e, adds it to the verdicts of its
// plugins, and holds it against what is stored for the match. rule is that of the
// match, where it is a registered webhook's.
func (r *recomputing) match(t *routing.Table, rule *routing.Rule, e *event.Event, stored *store.Routing, match int, verdicts []PluginVerdict) {
	m := &stored.Matches[match]
	because := func(why string) {
		for i := range verdicts {
			verdicts[i].NotRecomputed = why
		}
	}
	for i := range m.Plugins {
		if hostFault(m.Plugins[i].Class) {
			because("the plugin " + m.Plugins[i].Plugin + " failed because of the host (" + m.Plugins[i].Class + "), which running it again would not repeat")
			return
		}
	}
	again, err := t.Rehearse(r.ctx, e, m.Route, rule)
	if err != nil {
		because(whyNot(err))
		return
	}
	for i := range again.Steps {
		if s := &again.Steps[i]; hostFault(s.Class) {
			because("the host could not run plugin " + s.Plugin + " again: " + s.Error)
			return
		}
		if again.Steps[i].Impure {
			because("the plugin " + again.Steps[i].Plugin + ` may see earlier events (isolation "reuse"), so that another run may give something else`)
			return
		}
	}
	differs := again.Differs(stored, e, match)
	if differs != "" {
		differs = "NOT THE SAME AS DELIVERED: " + differs
	}
	for i := range verdicts {
		v := &verdicts[i]
		if i >= len(again.Steps) {
			v.NotRecomputed, v.Differs = "the plugin was not called again", "NOT THE SAME: now it is not called"
			continue
		}
		step := &again.Steps[i]
		r.fill(v, step)
		if d := step.Differs(&m.Plugins[i]); d != "" {
			v.Differs = "NOT THE SAME AS STORED: " + d
		}
		if i == len(verdicts)-1 && v.Differs == "" {
			v.Differs = differs
		}
	}
}

// fill shows the bytes before and after a call.
func (r *recomputing) fill(v *PluginVerdict, step *routing.Step) {
	v.Recomputed = true
	before := r.message(step.Before)
	v.Before = &before
	for _, m := range step.After {
		after := r.message(m)
		if m != step.Before {
			after.Diff = r.diff(step.Before, m)
		}
		v.After = append(v.After, after)
	}
}

// message shows m, bounded.
func (r *recomputing) message(m *event.Message) PluginMessage {
	out := PluginMessage{Type: m.Type, Subject: m.Subject, ContentType: m.ContentType, Size: len(m.Data)}
	if header := m.AppendHeaderJSON(nil); len(header) <= min(r.left, shownData) {
		out.Header = header
		r.left -= len(header)
	} else {
		out.Cut = true
	}
	text, binary, cut := r.data(m.Data)
	out.Data, out.DataBase64, out.Cut = text, binary, out.Cut || cut
	return out
}

// data is the beginning of b, as text where it is.
func (r *recomputing) data(b []byte) (text string, binary []byte, cut bool) {
	shown := b[:min(len(b), shownData, r.left)]
	cut = len(shown) < len(b)
	r.left -= len(shown)
	if utf8.Valid(b) {
		return strings.ToValidUTF8(string(shown), ""), nil, cut
	}
	return "", shown, cut
}

// diff is the unified difference of two messages as people read them, empty where
// they are too large for that.
func (r *recomputing) diff(before, after *event.Message) string {
	if len(before.Data) > diffed || len(after.Data) > diffed {
		return ""
	}
	a, b := readable(before), readable(after)
	if a == b {
		if bytes.Equal(before.Data, after.Data) {
			return ""
		}
		return "only white space of the data differs\n"
	}
	text := udiff.Unified("before", "after", a, b)
	if most := min(shownData, r.left); len(text) > most {
		cut := text[:most]
		text = cut[:strings.LastIndexByte(cut, '\n')+1]
	}
	r.left -= len(text)
	return text
}

// readable is a message as lines: JSON indented, all else as it stands.
func readable(m *event.Message) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	line("type", m.Type)
	line("subject", m.Subject)
	line("content type", m.ContentType)
	for _, list := range [2][]event.Field{m.Header, m.SetHeader} {
		for _, f := range list {
			line("header "+f.Name, f.Value)
		}
	}
	b.WriteByte('\n')
	var indented bytes.Buffer
	switch {
	case event.IsJSON(m.ContentType) && json.Indent(&indented, m.Data, "", "  ") == nil:
		b.Write(indented.Bytes())
	case utf8.Valid(m.Data):
		b.Write(m.Data)
	default:
		fmt.Fprintf(&b, "%x", m.Data)
	}
	b.WriteByte('\n')
	return b.String()
}

// hostFault says of a class of [store.Verdict] that the fault was not the plugin's.
func hostFault(class string) bool {
	return class == "host" || class == "held" || class == string(plugins.ClassDeadline)
}

func whyNot(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "running the plugins again takes too long for one answer"
	case errors.Is(err, plugins.ErrClosed):
		return "the plugin was just replaced; ask again"
	}
	return "the plugins could not be run again: " + err.Error()
}

// imagine says what a route would make of an event that was not sent.
func (r *recomputing) imagine(t *routing.Table, e *event.Event, v *RouteVerdict) {
	again, err := t.Rehearse(r.ctx, e, v.Route, nil)
	if err != nil {
		v.Reason = "it takes the event; " + whyNot(err)
		return
	}
	for i := range again.Steps {
		step := &again.Steps[i]
		p := pluginVerdicts([]store.Verdict{step.Verdict})[0]
		r.fill(&p, step)
		v.Plugins = append(v.Plugins, p)
	}
	if again.Err != nil {
		v.Reason = "it takes the event, and would deliver nothing: " + again.Err.Error()
		return
	}
	for i := range again.Routing.Deliveries {
		d := &again.Routing.Deliveries[i]
		body, contentType, _ := attempt.Body(config.Format(d.Format), again.Messages[d.N], d.N, d.Several)
		would := WouldSend{Destination: d.Lane, Message: d.N, Type: again.Messages[d.N].Type, ContentType: contentType, Size: len(body)}
		would.Body, would.BodyBase64, would.Cut = r.data(body)
		v.Would = append(v.Would, would)
	}
}
