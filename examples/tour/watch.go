package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"time"

	"github.com/weirhq/weir/router/api"
)

// seen is what the API says of the events of this run.
type seen struct {
	events map[string]*api.Explanation
}

// watch asks the API until everything is sent and every event has come to its
// end, and tells how far it is whenever that has changed.
func (t *tour) watch(ctx context.Context, total int, sent <-chan error) (*seen, error) {
	t.say("sending %d webhooks of GitHub's examples, every event name, signed with its secret", total)
	t.say("")
	t.say("  received  matched  dropped  changed  delivered  verified  retried  recovered")
	s := &seen{events: map[string]*api.Explanation{}}
	last := ""
	for done := false; ; {
		select {
		case err := <-sent:
			if err != nil {
				return nil, err
			}
			done = true
		default:
		}
		if err := t.alive(); err != nil {
			return nil, err
		}
		if err := t.look(ctx, s); err != nil {
			return nil, err
		}
		logs, err := t.readLogs()
		if err != nil {
			return nil, err
		}
		if line := progress(s, logs); line != last {
			t.say("%s", line)
			last = line
		}
		if done && s.settled() == total {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("not everything was delivered in time: %w", ctx.Err())
		case <-time.After(400 * time.Millisecond):
		}
	}
}

// look lists the events of this run and asks for each that is not settled.
func (t *tour) look(ctx context.Context, s *seen) error {
	q := url.Values{"since": {t.started.UTC().Format(time.RFC3339Nano)}, "source": {"github"}, "limit": {"1000"}}
	for {
		var page api.EventList
		if err := t.get(ctx, "/api/events?"+q.Encode(), &page); err != nil {
			return err
		}
		for _, e := range page.Events {
			if old := s.events[e.ID]; old != nil && settled(old) {
				continue
			}
			x := &api.Explanation{}
			if err := t.get(ctx, "/api/events/"+url.PathEscape(e.ID)+"/explain", x); err != nil {
				return err
			}
			s.events[e.ID] = x
		}
		if page.Next == "" {
			return nil
		}
		q.Set("cursor", page.Next)
	}
}

func (t *tour) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.address+path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s was answered %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

func settled(x *api.Explanation) bool {
	if !x.Routed {
		return false
	}
	for _, r := range x.Routes {
		for _, d := range r.Deliveries {
			switch d.Status {
			case "delivered", "dead", "cancelled":
			default:
				return false
			}
		}
	}
	return true
}

func (s *seen) settled() int {
	n := 0
	for _, x := range s.events {
		if settled(x) {
			n++
		}
	}
	return n
}

// counts are sums over what the API says.
type counts struct {
	matched, dropped, changed, failed    int
	delivered, retried, recovered, other int
}

func (s *seen) counts() counts {
	var c counts
	for _, x := range s.events {
		for _, r := range x.Routes {
			if r.Matched && !r.Recomputed {
				c.matched++
			}
			for _, p := range r.Plugins {
				switch {
				case p.Class != "":
					c.failed++
				case p.Filter == "drop":
					c.dropped++
				case p.Transform != "" && p.Transform != "same":
					c.changed++
				}
			}
			for _, d := range r.Deliveries {
				tries := len(d.Attempts)
				if tries > 1 || tries == 1 && d.Status == "retrying" {
					c.retried++
				}
				switch {
				case d.Status == "delivered":
					c.delivered++
					if tries > 1 {
						c.recovered++
					}
				case d.Status == "dead" || d.Status == "cancelled":
					c.other++
				}
			}
		}
	}
	return c
}

// progress is a row of the live table: by the API, but for verified, which is by
// the receivers' own logs.
func progress(s *seen, logs map[string]*log) string {
	c := s.counts()
	verified := 0
	for _, l := range logs {
		verified += l.verified
	}
	line := fmt.Sprintf("%10d %8d %8d %8d %10d %9d %8d %10d",
		len(s.events), c.matched, c.dropped, c.changed, c.delivered, verified, c.retried, c.recovered)
	if c.other+c.failed > 0 {
		line += fmt.Sprintf("   dead or cancelled %d, plugin failures %d", c.other, c.failed)
	}
	return line
}

// example is an event that shows the most: one that was retried, if there is one.
func (s *seen) example() string {
	ids := make([]string, 0, len(s.events))
	for id := range s.events {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	for _, id := range ids {
		for _, r := range s.events[id].Routes {
			for _, d := range r.Deliveries {
				if len(d.Attempts) > 1 && len(s.events[id].Routes[0].Plugins) > 1 {
					return id
				}
			}
		}
	}
	return ids[0]
}
