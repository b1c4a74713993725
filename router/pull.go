package router

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/sign"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/tracing"
)

// pullBytes bounds the bodies of one page, but for a message that is larger by
// itself.
const pullBytes = 4 << 20

// pullCursor is a place in what a receiver pulls: all postings up to one, and all
// deliveries that were asked for again up to one. The first come in the log's
// order, the others by the time they were asked for.
type pullCursor struct {
	posting store.Ref
	due     time.Time
	retry   store.Ref
}

const cursorBytes = 12 + 8 + 12

func (c pullCursor) String() string {
	b := make([]byte, 0, cursorBytes)
	ref := func(r store.Ref) {
		b = binary.BigEndian.AppendUint64(b, r.Position)
		b = binary.BigEndian.AppendUint32(b, r.Index)
	}
	ref(c.posting)
	due := uint64(0)
	if !c.due.IsZero() {
		due = uint64(c.due.UnixNano())
	}
	b = binary.BigEndian.AppendUint64(b, due)
	ref(c.retry)
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(s string) (pullCursor, error) {
	if s == "" {
		return pullCursor{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != cursorBytes {
		return pullCursor{}, store.ErrCursor
	}
	ref := func(b []byte) store.Ref {
		return store.Ref{Position: binary.BigEndian.Uint64(b), Index: binary.BigEndian.Uint32(b[8:])}
	}
	c := pullCursor{posting: ref(b), retry: ref(b[20:])}
	if due := int64(binary.BigEndian.Uint64(b[12:])); due > 0 {
		c.due = time.Unix(0, due).UTC()
	}
	return c, nil
}

// PullToken is what opens a pull destination, empty where only the router's own
// tokens do.
func (e engine) PullToken(name string) string {
	if d := e.setup.Load().config.Destination(name); d != nil {
		return d.Token.Reveal()
	}
	return ""
}

// Pull gives the next messages of a pull destination or a listener after a cursor,
// and waits for the first as long as it is told to.
func (e engine) Pull(ctx context.Context, name string, ask api.PullQuery) (*api.PullPage, error) {
	if e.inspect {
		return nil, notRunning()
	}
	at, err := parseCursor(ask.Cursor)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, ask.Wait)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	if l := e.listeners.get(name, time.Now()); l != nil {
		return e.pullListener(ctx, l, at, ask.Limit)
	}
	d := e.setup.Load().config.Destination(name)
	if d == nil || d.Kind != "pull" {
		return nil, noPull(name)
	}
	if at.posting.Position > 0 {
		_, err := e.store.Event(context.WithoutCancel(ctx), at.posting.Position)
		if errors.Is(err, store.ErrNotFound) {
			return nil, cursorExpired()
		}
		if err != nil {
			return nil, err
		}
	}
	for {
		arrived := e.lanes.Arrived(name)
		page := &api.PullPage{Messages: []api.PullMessage{}, Next: ask.Cursor}
		var err error
		if state := e.laneState(ctx, name); state != lane.Paused && state != lane.Disabled {
			page, err = e.pullPage(context.WithoutCancel(ctx), d, at, ask.Limit)
		}
		if err != nil || len(page.Messages) > 0 {
			return page, err
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return page, nil
		}
	}
}

func noPull(name string) *problem.Problem {
	return problem.New(http.StatusNotFound, "destination_not_found", "there is no pull destination %q; a listener is gone an hour after its last request", name)
}

func cursorExpired() *problem.Problem {
	return problem.New(http.StatusGone, "cursor_expired", "what the cursor points at is older than the store's retention: leave it out to go on with the oldest that is not acknowledged")
}

func (e engine) pullPage(ctx context.Context, d *config.Destination, at pullCursor, limit int) (*api.PullPage, error) {
	page := &api.PullPage{Messages: []api.PullMessage{}}
	size := 0
	add := func(ref store.Ref) error {
		m, err := e.pullMessage(ctx, d, ref)
		if errors.Is(err, store.ErrNotFound) {
			return nil // it has ended by age meanwhile
		}
		if err != nil {
			return err
		}
		m.Cursor = at.String()
		size += len(m.Body) + len(m.BodyBase64)
		page.Messages = append(page.Messages, *m)
		return nil
	}
	again := store.Ref{}
	if !at.due.IsZero() {
		again = at.retry.Next()
	}
	retries, err := e.store.RetriesFrom(ctx, d.Name, at.due, again, limit)
	if err != nil {
		return nil, err
	}
	for _, y := range retries {
		if _, parked := store.Parked(y.Due); parked || size >= pullBytes {
			break
		}
		at.due, at.retry = y.Due, y.Ref
		if err := add(y.Ref); err != nil {
			return nil, err
		}
	}
	from := at.posting
	if from != (store.Ref{}) {
		from = from.Next()
	}
	postings, err := e.store.Postings(ctx, d.Name, from, limit-len(page.Messages))
	if err != nil {
		return nil, err
	}
	for _, p := range postings {
		if size >= pullBytes {
			break
		}
		at.posting = p.Ref
		if err := add(p.Ref); err != nil {
			return nil, err
		}
	}
	if page.Next = at.String(); at == (pullCursor{}) {
		page.Next = ""
	}
	return page, nil
}

func (e engine) pullMessage(ctx context.Context, d *config.Destination, ref store.Ref) (*api.PullMessage, error) {
	x, err := e.store.Event(ctx, ref.Position)
	if err != nil {
		return nil, err
	}
	routing, err := e.store.Routing(ctx, ref.Position)
	if err != nil {
		return nil, err
	}
	if int(ref.Index) >= len(routing.Deliveries) {
		return nil, store.ErrNotFound
	}
	delivery := &routing.Deliveries[ref.Index]
	m := routing.Message(x, delivery)
	body, contentType, attributes := attempt.Body(config.Format(delivery.Format), m, delivery.N, delivery.Several)
	signers, err := attempt.Signers(d)
	if err != nil {
		return nil, err
	}
	id := delivery.WebhookID(x.Position, x.ID, routing.Matches[delivery.Match].Route)
	message := newPullMessage(id, m, body, contentType, slices.Concat(d.Headers, m.SetHeader, attributes), delivery.Replay, signers)
	setTrace(message, e.tracer.PullParent(tracing.Delivery{Event: x, Ref: ref, Replay: delivery.Replay}), e.tracer.Tracestate(x))
	return message, nil
}

func newPullMessage(id string, m *event.Message, body []byte, contentType string, set []event.Field, replay string, signers []sign.Signer) *api.PullMessage {
	now := time.Now()
	headers := map[string]string{}
	for _, f := range set {
		headers[strings.ToLower(f.Name)] = f.Value
	}
	signed := http.Header{}
	for _, s := range signers {
		s.Sign(signed, sign.Message{ID: id, Time: now, Body: body})
	}
	for name := range maps.Keys(signed) {
		headers[strings.ToLower(name)] = strings.Join(signed[name], " ")
	}
	for name, v := range map[string]string{
		"content-type": contentType, "webhook-id": id, "webhook-timestamp": strconv.FormatInt(now.Unix(), 10),
		"x-webhook-event": m.Type, "x-webhook-attempt": "1", "x-webhook-replay": replay,
	} {
		if v != "" {
			headers[name] = v
		}
	}
	out := &api.PullMessage{WebhookID: id, Headers: headers}
	if utf8.Valid(body) {
		text := string(body)
		out.Body = text
	} else {
		out.BodyBase64 = body
	}
	return out
}

// setTrace adds the headers of a trace, which hide what a plugin or the destination
// says of one.
func setTrace(m *api.PullMessage, traceparent, tracestate string) {
	if traceparent == "" {
		return
	}
	delete(m.Headers, "tracestate")
	m.Headers["traceparent"] = traceparent
	if tracestate != "" {
		m.Headers["tracestate"] = tracestate
	}
}

// tracedAck bounds the deliveries that one acknowledgement tells a collector of: each
// is read for it.
const tracedAck = 1000

// unsettled gives what waits for a pull destination before a reference, where its end
// is to be told.
func (e engine) unsettled(ctx context.Context, name string, before store.Ref) (refs []store.Ref) {
	if !e.tracer.On() {
		return nil
	}
	postings, err := e.store.Postings(ctx, name, store.Ref{}, tracedAck)
	if err != nil {
		return nil // whoever needs them finds it, too
	}
	for _, p := range postings {
		if p.Ref.Less(before) {
			refs = append(refs, p.Ref)
		}
	}
	return refs
}

// tellPulled tells of deliveries that were acknowledged just now.
func (e engine) tellPulled(ctx context.Context, name string, refs []store.Ref) {
	now := time.Now()
	for _, ref := range refs {
		x, err := e.store.Event(ctx, ref.Position)
		if err != nil || x.Trace == nil {
			continue // retention has taken it, or there is nothing to tell
		}
		routing, err := e.store.Routing(ctx, ref.Position)
		if err != nil || int(ref.Index) >= len(routing.Deliveries) {
			continue
		}
		d := &routing.Deliveries[ref.Index]
		e.tracer.Pulled(tracing.Delivery{Event: x, Ref: ref, Replay: d.Replay}, routing.Matches[d.Match].Route, name, now)
	}
}

// Acknowledge ends what a receiver has pulled up to a cursor as delivered.
func (e engine) Acknowledge(ctx context.Context, name, cursor string) (*api.Acknowledged, error) {
	if e.inspect {
		return nil, notRunning()
	}
	at, err := parseCursor(cursor)
	if err != nil {
		return nil, err
	}
	if l := e.listeners.get(name, time.Now()); l != nil {
		return &api.Acknowledged{}, e.listeners.acknowledge(ctx, l, at.posting.Position)
	}
	d := e.setup.Load().config.Destination(name)
	if d == nil || d.Kind != "pull" {
		return nil, noPull(name)
	}
	out := &api.Acknowledged{}
	if at.posting.Position > e.store.Progress() {
		// What is routed can be read, and was perhaps given out, a moment before the
		// store's progress says so.
		switch _, err := e.store.Routing(ctx, at.posting.Position); {
		case errors.Is(err, store.ErrNotFound):
			return nil, store.ErrCursor // nobody was given it
		case err != nil:
			return nil, err
		}
	}
	if at.posting != (store.Ref{}) {
		refs := e.unsettled(ctx, name, at.posting.Next())
		if out.Acknowledged, err = e.lanes.Settle(ctx, name, at.posting.Next(), store.Delivered, ""); err != nil {
			return nil, err
		}
		e.tellPulled(ctx, name, refs)
	}
	if at.due.IsZero() {
		return out, nil
	}
	for due, ref := (time.Time{}), (store.Ref{}); ; {
		retries, err := e.store.RetriesFrom(ctx, name, due, ref, moveStep)
		if err != nil {
			return nil, err
		}
		var changes []lane.Change
		for _, y := range retries {
			due, ref = y.Due, y.Ref.Next()
			if y.Due.Before(at.due) || y.Due.Equal(at.due) && !at.retry.Less(y.Ref) {
				changes = append(changes, lane.Change{
					Outcome: store.Outcome{Ref: y.Ref, From: store.Retrying, To: store.Delivered, Tries: y.Tries}, Key: y.Key,
				})
			}
		}
		moved, err := e.lanes.Move(ctx, name, changes)
		out.Acknowledged += len(moved)
		if e.tracer.On() {
			e.tellPulled(ctx, name, moved)
		}
		if err != nil && !errors.Is(err, store.ErrOutOfOrder) && !errors.Is(err, lane.ErrSending) {
			return nil, err
		}
		if len(changes) < moveStep {
			return out, nil
		}
	}
}
