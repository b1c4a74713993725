package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// page is of a list of the API.
type page struct {
	Events []struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Size int    `json:"size"`
	} `json:"events"`
	Deliveries []delivery `json:"deliveries"`
	Next       string     `json:"next"`
}

type delivery struct {
	ID          string `json:"id"`
	EventID     string `json:"event_id"`
	WebhookID   string `json:"webhook_id"`
	Destination string `json:"destination"`
	Kind        string `json:"kind"`
	Status      string `json:"status"`
	Note        string `json:"note"`
	Attempts    []struct {
		Number  int    `json:"number"`
		Outcome string `json:"outcome"`
	} `json:"attempts"`
}

// errAnswer is an answer of the API other than 200.
type errAnswer struct {
	path, body string
	status     int
}

func (e *errAnswer) Error() string {
	return fmt.Sprintf("%s answered %d %.300s", e.path, e.status, e.body)
}

// get asks the API.
func (w *weir) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url(path), nil)
	if err != nil {
		return err
	}
	res, err := apiClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return &errAnswer{path, string(b), res.StatusCode}
	}
	return json.Unmarshal(b, into)
}

// pages gives f every page of a list.
func (w *weir) pages(ctx context.Context, path string, query url.Values, f func(*page)) error {
	for {
		query.Set("limit", "1000")
		var p page
		if err := w.get(ctx, path+"?"+query.Encode(), &p); err != nil {
			return err
		}
		f(&p)
		if p.Next == "" {
			return nil
		}
		query.Set("cursor", p.Next)
	}
}

// listed compares the API's list of events with what was accepted.
func (w *weir) listed(ctx context.Context, l *ledger) (n int, v violations, err error) {
	ids := map[string]bool{}
	err = w.pages(ctx, "/api/events", url.Values{}, func(p *page) {
		for _, e := range p.Events {
			if ids[e.ID] {
				v.addf("GET /api/events lists %s twice", e.ID)
			}
			ids[e.ID] = true
		}
	})
	if err != nil {
		return 0, v, err
	}
	for id, number := range l.acceptedIDs() {
		if !ids[id] {
			v.addf("event %d (%s) was answered 202 and GET /api/events does not list it", number, id)
		}
	}
	if sent := l.tally().sent; len(ids) > sent {
		v.addf("GET /api/events lists %d events, and %d were sent", len(ids), sent)
	}
	return len(ids), v, nil
}

// unfinished counts deliveries that have not ended.
func (w *weir) unfinished(ctx context.Context) (n int, example string, err error) {
	for _, status := range []string{"waiting", "retrying"} {
		var p page
		if err := w.get(ctx, "/api/deliveries?limit=1&status="+status, &p); err != nil {
			return 0, "", err
		}
		for _, d := range p.Deliveries {
			n++
			example = fmt.Sprintf("%s of event %s to %s is %s", d.ID, d.EventID, d.Destination, d.Status)
		}
	}
	return n, example, nil
}

// delivered compares the API's list of deliveries with the receivers' log: what
// it calls delivered was received, and nothing ended in another way.
func (w *weir) delivered(ctx context.Context, l *ledger) (n int, v violations, err error) {
	err = w.pages(ctx, "/api/deliveries", url.Values{"status": {"delivered"}}, func(p *page) {
		for _, d := range p.Deliveries {
			n++
			if !l.received(d.WebhookID, d.Destination) {
				v.addf("%s of event %s to %s is called delivered, and never arrived", d.WebhookID, d.EventID, d.Destination)
			}
		}
	})
	if err != nil {
		return n, v, err
	}
	for _, status := range []string{"dead", "cancelled"} {
		var p page
		if err := w.get(ctx, "/api/deliveries?limit=10&status="+status, &p); err != nil {
			return n, v, err
		}
		for _, d := range p.Deliveries {
			v.addf("%s of event %s to %s is %s: %s", d.ID, d.EventID, d.Destination, d.Status, d.Note)
		}
	}
	return n, v, nil
}

// settle waits until everything accepted has arrived and the router says so,
// and then compares all that both sides know. vanished: events that were not
// accepted may have arrived and be unknown to the router, as after a power cut.
func settle(ctx context.Context, w *weir, l *ledger, want lanesOf, within time.Duration, vanished bool) error {
	deadline := time.Now().Add(within)
	left := func() time.Duration { return max(0, time.Until(deadline)) }
	// Most arrives at once; looking costs less when it is done seldom.
	for missing := l.missing(want); missing.count > 0 && left() > 0; missing = l.missing(want) {
		if !w.alive() {
			return violated("the router has ended (%v):\n%s", w.ended, w.lastWords(15))
		}
		if v := l.found(); v.count > 0 {
			return v.err()
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	v := l.missing(want)
	v.add(l.stray(want))
	v.add(l.found())
	if v.count > 0 {
		return v.err()
	}
	var waiting string
	err := eventually(ctx, max(left(), 3*time.Second), "all outcomes to be recorded", func() (bool, error) {
		n, example, err := w.unfinished(ctx)
		waiting = example
		return n == 0, err
	})
	switch {
	case errors.Is(err, errLate):
		v.addf("everything accepted has arrived, and yet %s", waiting)
		return v.err()
	case err != nil:
		return err
	}
	_, more, err := w.listed(ctx, l)
	if err != nil {
		return violated("the events can't be listed: %v", err)
	}
	v.add(more)
	n, more, err := w.delivered(ctx, l)
	if err != nil {
		return violated("the deliveries can't be listed: %v", err)
	}
	v.add(more)
	if t := l.tally(); n > t.deliveries || n < t.deliveries && !vanished {
		v.addf("the router counts %d deliveries as delivered, and the receivers have %d", n, t.deliveries)
	}
	v.add(l.found())
	return v.err()
}
