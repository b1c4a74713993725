package router

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/replay"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// shownReplayed bounds the deliveries that the answer to a replay of one event names.
const shownReplayed = 100

// replayed says what of one event a replay delivers again, and changes nothing. An
// event that is not routed yet gives [store.ErrNotFound].
func (r *Router) replayed(ctx context.Context, x *event.Event, ask *replay.Ask, id string) (replay.Redelivery, error) {
	var out replay.Redelivery
	decided, err := r.store.Routing(ctx, x.Position)
	if err != nil {
		return out, err
	}
	if ask.Destination != "" && !wentTo(decided, ask.Destination) {
		return out, nil
	}
	now := r.lanes.Now()
	if ask.Routes != replay.Current {
		return replay.Again(x, decided, ask.To, id, now, engine{r}.configured), nil
	}
	r.archive.RoutedAgain()
	routing, failed, err := r.reader.Replay(ctx, x, ask.To, now)
	if err != nil {
		return out, err
	}
	out.Failed = failed
	for i := range routing.Deliveries {
		routing.Deliveries[i].Replay = id
	}
	if len(routing.Deliveries) > 0 {
		out.Routing = routing
	}
	return out, nil
}

func wentTo(r *store.Routing, destination string) bool {
	for i := range r.Deliveries {
		if r.Deliveries[i].Lane == destination {
			return true
		}
	}
	return false
}

// checkReplay is nil for what can be replayed, else a problem.
func (e engine) checkReplay(ask *replay.Ask) error {
	if e.inspect {
		return problem.New(http.StatusConflict, "not_running", "no router runs: events are replayed while one does (weir serve)")
	}
	switch ask.Routes {
	case "":
		ask.Routes = replay.Original
	case replay.Original, replay.Current:
	default:
		return problem.New(http.StatusBadRequest, "bad_parameter", `routes must be "original" or "current", not %q`, string(ask.Routes))
	}
	if to := ask.To; to != "" && !e.configured(to) {
		if webhook.IsID(to) && e.webhooks.registry.IsGone(to) {
			return problem.New(http.StatusConflict, "webhook_deleted", "the webhook %s was deleted, so nothing can be sent to it", to)
		}
		return problem.New(http.StatusNotFound, "destination_not_found", "there is no destination %q", to)
	}
	return nil
}

// eventAgain says what a replay of one event makes, which is something; the error says
// why it is nothing.
func (e engine) eventAgain(ctx context.Context, x *event.Event, ask *replay.Ask, id string) (replay.Redelivery, error) {
	again, err := e.replayed(ctx, x, ask, id)
	if errors.Is(err, store.ErrNotFound) {
		return again, problem.New(http.StatusConflict, "not_routed", "the event %s waits for its turn: it has gone nowhere yet, so there is nothing to replay", x.ID)
	}
	if err == nil && again.Routing == nil {
		err = nothingToReplay(x, ask, again)
	}
	return again, err
}

// PreviewReplay says what a replay of one event would send.
func (e engine) PreviewReplay(ctx context.Context, x *event.Event, ask replay.Ask) (*api.EventReplay, error) {
	if err := e.checkReplay(&ask); err != nil {
		return nil, err
	}
	again, err := e.eventAgain(ctx, x, &ask, replay.NewID(time.Now(), ask.NewIDs))
	if err != nil {
		return nil, err
	}
	made := again.Routing
	out := &api.EventReplay{
		DryRun: true, EventID: x.ID, Routes: string(ask.Routes), Deliveries: len(made.Deliveries),
		DeliveryIDs: []string{}, Skipped: again.Skipped, Failed: again.Failed,
	}
	for i := range made.Deliveries[:min(len(made.Deliveries), shownReplayed)] {
		d := &made.Deliveries[i]
		send := api.ReplayedSend{Route: made.Matches[d.Match].Route, Destination: d.Lane}
		if !ask.NewIDs {
			send.WebhookID = d.WebhookID(x.Position, x.ID, send.Route)
		}
		out.WouldSend = append(out.WouldSend, send)
	}
	return out, nil
}

// ReplayEvent delivers one event again.
func (e engine) ReplayEvent(ctx context.Context, x *event.Event, ask replay.Ask) (*api.EventReplay, error) {
	if err := e.checkReplay(&ask); err != nil {
		return nil, err
	}
	id := replay.NewID(time.Now(), ask.NewIDs)
	again, err := e.eventAgain(ctx, x, &ask, id)
	if err != nil {
		return nil, err
	}
	_, err = e.store.Commit(context.WithoutCancel(ctx), &store.Record{Routings: []*store.Routing{again.Routing}})
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return nil, problem.New(http.StatusConflict, "replayed_too_often", "what the event %s has led to is too large to add to it", x.ID)
	case errors.Is(err, store.ErrOutOfOrder):
		return nil, problem.New(http.StatusNotFound, "event_not_found", "retention has just taken the event %s", x.ID)
	case err != nil:
		return nil, err
	}
	e.replayCommitted(x, again.Routing)
	out := &api.EventReplay{
		ID: id, EventID: x.ID, Routes: string(ask.Routes), Deliveries: len(again.Routing.Deliveries),
		DeliveryIDs: []string{}, Skipped: again.Skipped, Failed: again.Failed,
	}
	now, err := e.store.Routing(ctx, x.Position)
	if err != nil {
		return nil, err
	}
	for i := range now.Deliveries {
		if now.Deliveries[i].Replay == id && len(out.DeliveryIDs) < shownReplayed {
			out.DeliveryIDs = append(out.DeliveryIDs, store.Ref{Position: x.Position, Index: uint32(i)}.String())
		}
	}
	return out, nil
}

// nothingToReplay says why.
func nothingToReplay(x *event.Event, ask *replay.Ask, r replay.Redelivery) *problem.Problem {
	to := ""
	if ask.To != "" {
		to = " for " + ask.To
	}
	why := "routing has made no delivery" + to + " of the event " + x.ID + `; routes "current" would route it again by the current configuration`
	switch {
	case r.Failed > 0:
		why = "a plugin failed, so no route delivers the event " + x.ID + to
	case r.Skipped > 0:
		why = "the destinations that the event " + x.ID + " went to are not there any more"
	case ask.Routes == replay.Current:
		why = "by the current configuration the event " + x.ID + " makes no delivery" + to
	}
	return problem.New(http.StatusConflict, "nothing_to_replay", "%s; weir explain %s says more", why, x.ID)
}

// replayCommitted tells lanes, and the trace, of deliveries that a replay has made.
func (r *Router) replayCommitted(x *event.Event, made *store.Routing) {
	r.lanes.Posted(made)
	r.tracer.Replayed(x, made)
}

// openReplays reads the replays of the store.
func (r *Router) openReplays(ctx context.Context) (err error) {
	r.replays, err = replay.Open(ctx, replay.Options{
		Store: r.store, Decide: r.replayed, Committed: r.replayCommitted, Refresh: r.lanes.Refresh, Log: r.log.Named("replay"),
	})
	return err
}

// checkReplays is nil for what can be replayed in bulk, else a problem.
func (e engine) checkReplays(ctx context.Context, ask *replay.Ask) error {
	if ask.Destination != "" {
		if err := e.knownDestination(ctx, ask.Destination); err != nil {
			return err
		}
		// Who asks for what went to one does not mean to send it to others.
		if ask.To == "" {
			ask.To = ask.Destination
		}
	}
	if !ask.Until.IsZero() && !ask.Until.After(ask.Since) {
		return problem.New(http.StatusBadRequest, "bad_parameter", "until must be after since")
	}
	return e.checkReplay(ask)
}

// StartReplay begins a replay of what is routed by now.
func (e engine) StartReplay(ctx context.Context, ask replay.Ask, rate int) (replay.State, error) {
	if err := e.checkReplays(ctx, &ask); err != nil {
		return replay.State{}, err
	}
	st, err := e.replays.Start(ctx, ask, rate)
	if errors.Is(err, replay.ErrTooMany) {
		return st, problem.New(http.StatusConflict, "too_many_replays", "%v: wait until some have ended, or cancel them", err)
	}
	return st, err
}

// CountReplay says what StartReplay would make.
func (e engine) CountReplay(ctx context.Context, ask replay.Ask) (replay.Counts, bool, error) {
	if err := e.checkReplays(ctx, &ask); err != nil {
		return replay.Counts{}, false, err
	}
	return e.replays.Count(ctx, ask)
}

// Replays are all that are remembered, newest first.
func (e engine) Replays() []replay.State { return e.replays.All() }

// Replay is one of them.
func (e engine) Replay(id string) (replay.State, error) {
	st, err := e.replays.Get(id)
	return st, replayNotFound(id, err)
}

// CancelReplay ends one, and gives one that has ended as it is.
func (e engine) CancelReplay(id string) (replay.State, error) {
	if e.inspect {
		return replay.State{}, problem.New(http.StatusConflict, "not_running", "no router runs: replays are cancelled while one does (weir serve)")
	}
	st, err := e.replays.Cancel(id)
	return st, replayNotFound(id, err)
}

func replayNotFound(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(http.StatusNotFound, "replay_not_found", "there is no replay %q, or it ended long ago", id)
	}
	return err
}
