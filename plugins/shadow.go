package plugins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/router/event"
)

// Bounds of a [Shadow].
const (
	shadowQueue = 256     // observations that wait
	shadowKept  = 3       // differences of each kind
	shadowText  = 4 << 10 // bytes of each side of a difference
)

// The kinds of differences.
const (
	// DifferentVerdict: one kept, dropped or emitted where the other did not.
	DifferentVerdict = "verdict"
	// DifferentError: one failed, or both in different ways.
	DifferentError = "error"
	// DifferentCount: the numbers of messages differ.
	DifferentCount = "count"
	// The others name what of a message differs.
	DifferentType        = "type"
	DifferentSubject     = "subject"
	DifferentContentType = "content_type"
	DifferentData        = "data"
	DifferentHeader      = "header"
)

// Difference is one event on which two builds do not agree.
type Difference struct {
	Kind   string    `json:"kind"`
	Event  string    `json:"event_id"`
	Source string    `json:"source"`
	Route  string    `json:"route"`
	Time   time.Time `json:"time"` // when it was seen
	// Message is the number of the result that differs, from 0.
	Message int `json:"message"`
	// Plugin and Shadow are what each gave, at most 4 KiB.
	Plugin string `json:"plugin"`
	Shadow string `json:"shadow"`
}

// ShadowStats is what a [Shadow] has seen since it was loaded.
type ShadowStats struct {
	// Build is the SHA-256 of the shadow's module in hex.
	Build    string `json:"build"`
	Compared uint64 `json:"compared"`
	// Different counts events with any difference, Kinds each kind.
	Different uint64            `json:"different"`
	Kinds     map[string]uint64 `json:"kinds"`
	// Skipped events came faster than the shadow could run them.
	Skipped uint64 `json:"skipped"`
	// Slower is the time that the shadow took, divided by what the plugin took.
	// 0 where nothing was compared.
	Slower float64 `json:"slower"`
	// Differences are the first ones of each kind.
	Differences []Difference `json:"differences,omitempty"`
}

// Shadow runs another build on the events of a plugin and compares what they
// give. What it gives is thrown away. It takes no time of the stream: it has a
// goroutine of its own, and where that falls behind, events are skipped and
// counted.
type Shadow struct {
	plugin *Plugin
	queue  chan observation
	ctx    context.Context
	cancel context.CancelFunc
	worker sync.WaitGroup

	mu     sync.Mutex
	stats  ShadowStats
	first  time.Duration // of the plugin
	second time.Duration // of the shadow
}

type observation struct {
	message *event.Message
	route   string
	result  *Result
	err     error
}

// NewShadow makes a loaded build a shadow, which closes it.
func NewShadow(p *Plugin) *Shadow {
	s := &Shadow{plugin: p, queue: make(chan observation, shadowQueue)}
	s.stats = ShadowStats{Build: p.Build(), Kinds: map[string]uint64{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.worker.Go(s.run)
	return s
}

// Observe tells what the plugin made of a message. It never blocks.
func (s *Shadow) Observe(m *event.Message, route string, r *Result, err error) {
	if _, ok := errors.AsType[*Error](err); err != nil && !ok {
		return // the router gave up; there is nothing to compare
	}
	select {
	case s.queue <- observation{m, route, r, err}:
	default:
		s.mu.Lock()
		s.stats.Skipped++
		s.mu.Unlock()
	}
}

// Stats returns what was seen so far.
func (s *Shadow) Stats() ShadowStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Kinds = make(map[string]uint64, len(s.stats.Kinds))
	for kind, n := range s.stats.Kinds {
		stats.Kinds[kind] = n
	}
	stats.Differences = slices.Clone(s.stats.Differences)
	if s.first > 0 {
		stats.Slower = float64(s.second) / float64(s.first)
	}
	return stats
}

// Close ends the comparing and closes the build. What waits is not compared.
func (s *Shadow) Close(ctx context.Context) error {
	s.cancel()
	s.worker.Wait()
	return s.plugin.Close(ctx)
}

func (s *Shadow) run() {
	for {
		select {
		case o := <-s.queue:
			s.compare(o)
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Shadow) compare(o observation) {
	r, err := s.plugin.Run(s.ctx, o.message, o.route)
	var e *Error
	if err != nil && !errors.As(err, &e) {
		return // it is closing
	}
	found := differences(o, r, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Compared++
	if o.result != nil && r != nil {
		s.first += o.result.Duration
		s.second += r.Duration
	}
	if len(found) > 0 {
		s.stats.Different++
	}
	for _, d := range found {
		if s.stats.Kinds[d.Kind]++; s.stats.Kinds[d.Kind] <= shadowKept {
			d.Event, d.Source, d.Route, d.Time = o.message.ID, o.message.Source, o.route, time.Now().UTC()
			s.stats.Differences = append(s.stats.Differences, d)
		}
	}
}

// differences lists how another result differs from what was observed, each kind
// at most once.
func differences(o observation, r *Result, err error) []Difference {
	var found []Difference
	add := func(kind string, n int, plugin, shadow string) {
		for _, d := range found {
			if d.Kind == kind {
				return
			}
		}
		found = append(found, Difference{Kind: kind, Message: n, Plugin: bounded(plugin), Shadow: bounded(shadow)})
	}
	if o.err != nil || err != nil {
		if was, is := faultText(o.err), faultText(err); was != is {
			add(DifferentError, 0, was, is)
		}
		return found
	}
	if was, is := o.result.verdicts(), r.verdicts(); was != is {
		add(DifferentVerdict, 0, was, is)
	}
	if was, is := len(o.result.Messages), len(r.Messages); was != is {
		add(DifferentCount, 0, fmt.Sprint(was), fmt.Sprint(is))
	}
	for n := range min(len(o.result.Messages), len(r.Messages)) {
		was, is := o.result.Messages[n], r.Messages[n]
		if was.Type != is.Type {
			add(DifferentType, n, was.Type, is.Type)
		}
		if was.Subject != is.Subject {
			add(DifferentSubject, n, was.Subject, is.Subject)
		}
		if was.ContentType != is.ContentType {
			add(DifferentContentType, n, was.ContentType, is.ContentType)
		}
		if !bytes.Equal(was.Data, is.Data) {
			add(DifferentData, n, string(was.Data), string(is.Data))
		}
		if !slices.Equal(was.Header, is.Header) || !slices.Equal(was.SetHeader, is.SetHeader) {
			add(DifferentHeader, n, string(was.AppendHeaderJSON(nil)), string(is.AppendHeaderJSON(nil)))
		}
	}
	return found
}

// verdicts says what was decided, as one text. Whether a transform that changed
// nothing says so or writes the same again is no difference.
func (r *Result) verdicts() string {
	transform := r.Transform
	if transform == Same {
		transform = Changed
	}
	return strings.TrimSpace(string(r.Filter) + " " + string(transform))
}

// faultText is the class and the text of a fault, which must be the same for two
// builds to agree, or that there is none.
func faultText(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return "no error"
	}
	return string(e.Class) + ": " + e.Text
}

func bounded(text string) string {
	if len(text) > shadowText {
		text = text[:shadowText]
	}
	return valid([]byte(text))
}
