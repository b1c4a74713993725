package router

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
)

const (
	// kindListener is that of the documents of listeners.
	kindListener   = "listener"
	listenerPrefix = "lst_"
	// listenerLife is how long a listener lives without a request.
	listenerLife = time.Hour
	// maxListeners bounds them.
	maxListeners = 100
	// listenScan is how many events one request of a listener looks at.
	listenScan = 20000
)

// listener is a temporary pull destination. It reads the log itself, so that it
// costs routing nothing and leaves no deliveries behind.
type listener struct {
	Name   string   `json:"-"`
	Events []string `json:"events,omitempty"`
	// After is the position that was acknowledged last.
	After uint64    `json:"after"`
	last  time.Time // its last request
}

func (l *listener) takes(e *event.Event) bool {
	if e.Source == event.SourceWeir || e.Source == event.SourceReply {
		return false
	}
	return len(l.Events) == 0 || slices.ContainsFunc(l.Events, func(p string) bool { return event.MatchType(p, e.Type) })
}

// listeners are those that live. Each is stored, so that it outlives a restart.
type listeners struct {
	store store.Store
	mu    sync.Mutex
	all   map[string]*listener
}

// open reads what is stored. Each has its whole time before it.
func (s *listeners) open(ctx context.Context, st store.Store) error {
	s.store, s.all = st, map[string]*listener{}
	docs, err := st.Documents(ctx, kindListener)
	if err != nil {
		return err
	}
	for _, d := range docs {
		l := &listener{Name: d.Name, last: time.Now()}
		if err := json.Unmarshal(d.Value, l); err != nil {
			return fmt.Errorf("the listener %s: %w", d.Name, err)
		}
		s.all[d.Name] = l
	}
	return nil
}

// get gives a listener and notes that it is asked for, nil where there is none.
func (s *listeners) get(name string, now time.Time) *listener {
	if !strings.HasPrefix(name, listenerPrefix) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.all[name]
	if l == nil || now.Sub(l.last) > listenerLife {
		return nil
	}
	l.last = now
	return l
}

// prune forgets those that nobody has asked for an hour.
func (s *listeners) prune(ctx context.Context, now time.Time) error {
	record := &store.Record{}
	s.mu.Lock()
	for name, l := range s.all {
		if now.Sub(l.last) > listenerLife {
			delete(s.all, name)
			record.Documents = append(record.Documents, store.Document{Kind: kindListener, Name: name})
		}
	}
	s.mu.Unlock()
	if len(record.Documents) == 0 {
		return nil
	}
	_, err := s.store.Commit(ctx, record)
	return err
}

func (s *listeners) save(ctx context.Context, l listener) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = s.store.Commit(ctx, &store.Record{Documents: []store.Document{{Kind: kindListener, Name: l.Name, Value: b}}})
	return err
}

// acknowledge moves a listener forward, never back.
func (s *listeners) acknowledge(ctx context.Context, l *listener, position uint64) error {
	if position > s.store.Last() {
		return store.ErrCursor
	}
	s.mu.Lock()
	if position <= l.After {
		s.mu.Unlock()
		return nil
	}
	l.After = position
	saved := *l
	s.mu.Unlock()
	return s.save(ctx, saved)
}

// Listen makes a listener of the events to come.
func (e engine) Listen(ctx context.Context, events []string) (*api.Listener, error) {
	if e.inspect {
		return nil, notRunning()
	}
	for _, p := range events {
		if p == "" || len(p) > 200 || strings.ContainsFunc(p, func(c rune) bool { return c <= ' ' }) {
			return nil, problem.New(http.StatusUnprocessableEntity, "invalid_pattern", "%q is no pattern of event types, such as order.*", p)
		}
	}
	if err := e.listeners.prune(ctx, time.Now()); err != nil {
		return nil, err
	}
	l := &listener{Name: listenerPrefix + strings.ToLower(rand.Text()), Events: events, After: e.store.Last(), last: time.Now()}
	s := &e.listeners
	s.mu.Lock()
	full := len(s.all) >= maxListeners
	if !full {
		s.all[l.Name] = l
	}
	s.mu.Unlock()
	if full {
		return nil, problem.New(http.StatusConflict, "too_many_listeners", "there are %d listeners; each is gone an hour after its last request", maxListeners)
	}
	if err := s.save(ctx, *l); err != nil {
		return nil, err
	}
	return &api.Listener{Destination: l.Name, Events: events, Cursor: pullCursor{posting: store.Ref{Position: l.After}}.String(), ExpiresSeconds: int(listenerLife.Seconds())}, nil
}

// pullListener gives what a listener has not seen.
func (e engine) pullListener(ctx context.Context, l *listener, at pullCursor, limit int) (*api.PullPage, error) {
	e.listeners.mu.Lock()
	after := l.After
	e.listeners.mu.Unlock()
	if p := at.posting.Position; p > 0 {
		after = p
		if _, err := e.store.Event(context.WithoutCancel(ctx), p); err != nil && p < e.oldestPosition(ctx) {
			return nil, cursorExpired()
		}
	}
	page := &api.PullPage{Messages: []api.PullMessage{}}
	size, looked := 0, 0
	for len(page.Messages) == 0 {
		events, err := e.store.Events(context.WithoutCancel(ctx), after+1, 256)
		if err != nil {
			return nil, err
		}
		if len(events) == 0 && e.store.Wait(ctx, after) != nil {
			break // nothing has come
		}
		for _, x := range events {
			if len(page.Messages) == limit || size >= pullBytes {
				break
			}
			after = x.Position
			if !l.takes(x) {
				continue
			}
			m := event.NewMessage(x)
			body, contentType, _ := attempt.Body(config.FormatEnvelope, m, 0, false)
			message := newPullMessage(event.WebhookID(x.Position, x.ID, "listener", 0, l.Name), m, body, contentType, nil, "", nil)
			setTrace(message, e.tracer.EventParent(x), e.tracer.Tracestate(x))
			message.Cursor = pullCursor{posting: store.Ref{Position: x.Position}}.String()
			page.Messages = append(page.Messages, *message)
			size += len(body)
		}
		if looked += len(events); looked >= listenScan {
			break
		}
	}
	page.Next = pullCursor{posting: store.Ref{Position: after}}.String()
	return page, nil
}

// oldestPosition is that of the oldest event that is kept.
func (e engine) oldestPosition(ctx context.Context) uint64 {
	events, err := e.store.Events(context.WithoutCancel(ctx), 1, 1)
	if err != nil || len(events) == 0 {
		return 0
	}
	return events[0].Position
}
