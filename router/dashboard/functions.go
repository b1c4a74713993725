package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/webhook"
)

// functions are what templates call.
func (d *Dashboard) functions() template.FuncMap {
	all := template.FuncMap{
		"asset":      func(name string) (string, error) { return d.link(name) },
		"ago":        func(t any) string { return ago(d.now(), when(t)) },
		"until":      func(t any) string { return until(d.now(), when(t)) },
		"clock":      func(t any) string { return when(t).UTC().Format(clockLayout) },
		"stamp":      func(t any) string { return when(t).UTC().Format(time.RFC3339Nano) },
		"ms":         milliseconds,
		"count":      count,
		"bytes":      func(n any) string { return size(reflect.ValueOf(n).Int()) },
		"percent":    percent,
		"pretty":     pretty,
		"prettyText": func(text string) string { return pretty(json.RawMessage(text)) },
		"diff":       diffLines,
		"isWebhook":  webhook.IsID,
		"whose":      whose,
		"phases":     phaseBar,
		"short":      func(s string) string { return s[:min(len(s), 12)] },
		"path":       url.PathEscape,
		"status":     statusWord,
		"tone":       tone,
		"join":       strings.Join,
		"plural":     plural,
		"describe":   describeOutcome,
		"failure":    failureWord,
		"fault":      faultWord,
		"progress":   progress,
		"shade":      shade,
		"reason":     reasonBeside,
		"last":       func(i, all int) bool { return i == all-1 },
		"titled": func(title string, rows []api.StatsRow) map[string]any {
			return map[string]any{"Title": title, "Rows": rows}
		},
		"deliveries": deliveryBars,
	}
	maps.Copy(all, d.markups())
	return all
}

// clockLayout is a time for people, exact to the second.
const clockLayout = "2006-01-02 15:04:05 UTC"

func (d *Dashboard) link(name string) (string, error) {
	link, ok := d.names[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return link, nil
}

// when takes a time or a pointer to one.
func when(t any) time.Time {
	switch t := t.(type) {
	case time.Time:
		return t
	case *time.Time:
		if t != nil {
			return *t
		}
	}
	return time.Time{}
}

// ago says how long before now t was: "3 minutes ago".
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	switch {
	case d < 0:
		return until(now, t)
	case d < 5*time.Second:
		return "just now"
	}
	return span(d) + " ago"
}

// until says how long after now t is: "in 40 seconds".
func until(now, t time.Time) string {
	d := t.Sub(now)
	if d <= 0 {
		return "now"
	}
	return "in " + span(d)
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= u.unit {
			return plural(int(d/u.unit), u.name)
		}
	}
	return plural(max(1, int(d/time.Second)), "second")
}

// plural is a number with its noun.
func plural(n any, noun string) string {
	text := ""
	if few, ok := n.(int); ok {
		text = strconv.Itoa(few)
	} else {
		text = fmt.Sprint(n)
	}
	if text == "1" {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "y") {
		return group(text) + " " + strings.TrimSuffix(noun, "y") + "ies"
	}
	return group(text) + " " + noun + "s"
}

// count is a number with its thousands apart.
func count(n any) string { return group(fmt.Sprint(n)) }

func group(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// milliseconds is a time with three digits in a unit for people.
func milliseconds(ms float64) string {
	switch {
	case ms <= 0:
		return "0 ms"
	case ms < 1:
		return strconv.FormatFloat(ms*1000, 'f', 0, 64) + " µs"
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
	case ms < 100:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case ms < 100_000:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	}
	return span(time.Duration(ms * float64(time.Millisecond)))
}

// size is a number of bytes for people.
func size(n int64) string {
	f := float64(n)
	for _, unit := range []string{"bytes", "KiB", "MiB"} {
		if f < 1024 {
			decimals := 1
			if unit == "bytes" {
				decimals = 0
			}
			return strconv.FormatFloat(f, 'f', decimals, 64) + " " + unit
		}
		f /= 1024
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " GiB"
}

// percent never says 100 where something failed, nor 0 where something did not.
func percent(rate float64) string {
	p := rate * 100
	switch {
	case rate >= 1:
		return "100 %"
	case p > 99.9:
		return strconv.FormatFloat(math.Min(math.Floor(p*1000)/1000, 99.999), 'f', 3, 64) + " %"
	case p > 99:
		return strconv.FormatFloat(math.Floor(p*100)/100, 'f', 2, 64) + " %"
	case rate <= 0:
		return "0 %"
	case p < 0.1:
		return "under 0.1 %"
	}
	return strconv.FormatFloat(math.Floor(p*10)/10, 'f', 1, 64) + " %"
}

// pretty sets out JSON in lines, and leaves alone what is none.
func pretty(data json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return string(data)
	}
	return b.String()
}

// statusWord is a delivery's status in a word for people.
func statusWord(status string) string {
	if status == "" {
		return "unknown"
	}
	return status
}

// tone is the colour of a status or state: good, bad, wait or quiet.
func tone(status string) string {
	switch status {
	case "delivered", "active", "accepted", "ready", "kept", "matched", "applied", "done":
		return "good"
	case "dead", "failing", "open", "disabled", "failed", "refused":
		return "bad"
	case "retrying", "sending", "waiting", "held", "paused", "orphaned", "running":
		return "wait"
	}
	return "quiet"
}

// describeOutcome says in words what an attempt met.
func describeOutcome(outcome string, status int) string {
	switch outcome {
	case "delivered":
		if status != 0 {
			return "answered " + strconv.Itoa(status)
		}
		return "delivered"
	case "status":
		return "answered " + strconv.Itoa(status)
	case "dns":
		return "its name could not be resolved"
	case "refused":
		return "the connection was refused"
	case "reset":
		return "the connection was cut"
	case "tls":
		return "no trusted TLS connection"
	case "timeout":
		return "it did not answer in time"
	case "blocked":
		return "its address is not allowed"
	case "too_large":
		return "its answer was too large"
	case "auth":
		return "there was no permission"
	case "protocol":
		return "its answer was not HTTP"
	case "config":
		return "it could not be made into a request"
	case "io":
		return "it could not be written"
	case "stopped":
		return "the router stopped meanwhile"
	case "plugin":
		return "a plugin failed"
	case "no_route":
		return "its route is not configured any more"
	}
	return outcome
}

// failureWord says in few words, behind a number, what so many attempts met.
func failureWord(reason string) string {
	switch reason {
	case "status":
		return "answered with an error"
	case "dns":
		return "name not resolved"
	case "refused":
		return "connection refused"
	case "reset":
		return "connection cut"
	case "tls":
		return "no trusted TLS"
	case "timeout":
		return "no answer in time"
	case "auth":
		return "no permission"
	case "blocked":
		return "address not allowed"
	case "too_large":
		return "too large"
	case "protocol":
		return "answer not HTTP"
	case "config":
		return "no valid request"
	case "io":
		return "not written"
	case "stopped":
		return "stopped with the router"
	case "plugin":
		return "plugin failed"
	case "no_route":
		return "route gone"
	}
	return reason
}

// faultWord says in few words, behind a number, how so many calls of a plugin failed.
func faultWord(class string) string {
	switch class {
	case "plugin":
		return "refused by the plugin"
	case "bad_result":
		return "with a result that is none"
	case "trap":
		return "trapped"
	case "exit":
		return "exited"
	case "memory":
		return "out of memory"
	case "fuel":
		return "out of fuel"
	case "deadline":
		return "too slow"
	case "stack":
		return "out of stack"
	case "init":
		return "failed to start"
	}
	return class
}

// describeEnd says in words why a delivery is dead.
func describeEnd(reason string) string {
	switch reason {
	case "attempts":
		return "gave up after the last attempt"
	case "gone":
		return "gave up: the receiver said 410, gone"
	case "expired":
		return "gave up: it became too old"
	case "routing":
		return "could not be routed"
	}
	return "gave up: " + reason
}

// diffLine is a line of a unified difference.
type diffLine struct{ Class, Text string }

func diffLines(diff string) []diffLine {
	var all []diffLine
	begun := false // before that are the names of what is before and after, said above
	for line := range strings.Lines(diff) {
		line = strings.TrimSuffix(line, "\n")
		l := diffLine{Text: line}
		switch {
		case !begun && (strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "+++ ")):
			continue
		case strings.HasPrefix(line, "@@"):
			begun = true
			l.Class = "quiet"
		case strings.HasPrefix(line, "+"):
			l.Class = "added"
		case strings.HasPrefix(line, "-"):
			l.Class = "taken"
		}
		all = append(all, l)
	}
	return all
}

// reasonBeside is why a route did not take an event, where none of its terms says so.
func reasonBeside(r api.RouteVerdict) string {
	for _, t := range r.Terms {
		if t.Reason == r.Reason {
			return ""
		}
	}
	return r.Reason
}
