package plugins

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/weirhq/weir/router/event"
)

// Verdict is what a filter or a transform decided.
type Verdict string

// The verdicts. A filter keeps or drops; the others are a transform's.
const (
	// None: the module has no such function, or the filter dropped before it.
	None Verdict = ""
	// Keep and Drop are a filter's.
	Keep Verdict = "keep"
	Drop Verdict = "drop"
	// Same: the message went on as it was.
	Same Verdict = "same"
	// Changed: the message was changed.
	Changed Verdict = "changed"
	// Dropped: there is no result.
	Dropped Verdict = "dropped"
	// Emitted: the results are those that were emitted, possibly none.
	Emitted Verdict = "emitted"
)

// Result is what a call gave.
type Result struct {
	Filter    Verdict
	Transform Verdict
	// Messages are the results in order. Where nothing was changed it is the
	// message that the call was given.
	Messages []*event.Message
	// Logs are the lines that the plugin logged, in order.
	Logs []Log
	// Fuel is what the call took, in units.
	Fuel int64
	// Duration is the wall-clock time that the plugin's functions took.
	Duration time.Duration

	one [1]*event.Message // room for the usual number of messages
}

// only makes m the only message.
func (r *Result) only(m *event.Message) {
	r.one[0] = m
	r.Messages = r.one[:]
}

// Log is one line that a plugin logged.
type Log struct {
	// Level is 1 trace, 2 debug, 3 info, 4 warn or 5 error.
	Level int
	Text  string
}

// hclogLevel relies on hclog counting as the ABI does: 1 trace to 5 error.
func (l Log) hclogLevel() hclog.Level { return hclog.Level(l.Level) }
