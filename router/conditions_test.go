package router

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestConditionsTell(t *testing.T) {
	var c conditions
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, step := range []struct {
		after time.Duration
		route string
		want  int
	}{
		{0, "a", 1}, {0, "b", 1}, {time.Second, "a", 0}, {59 * time.Second, "a", 0}, {time.Minute, "a", 3},
		{61 * time.Second, "a", 0}, {-time.Hour, "a", 2}, // the clock was set back
	} {
		if got := c.tell(step.route, start.Add(step.after)); got != step.want {
			t.Errorf("%s after %s: %d, want %d", step.route, step.after, got, step.want)
		}
	}
	for i := range 3 * doubtsMost {
		c.tell(strconv.Itoa(i), start)
	}
	if len(c.told) > doubtsMost {
		t.Errorf("it remembers %d routes", len(c.told))
	}
	if c.tell("later", start.Add(time.Hour)) != 1 || len(c.told) > doubtsMost {
		t.Error("it has no room once those before are old")
	}
}

// The log names an event for which a condition can't be evaluated, and not each.
func TestConditionThatFailsIsLogged(t *testing.T) {
	var log safeBuffer
	hcl := `
destination "out" {
  url = "stdout:"
}
route "large" {
  when = event.data.total > 100
  to   = [destination.out]
}
`
	r := start(t, t.TempDir(), hcl, Options{Stdout: &safeBuffer{}, Logger: hclog.New(&hclog.LoggerOptions{Output: &log})})
	const line = "a route passes over events"
	publish(t, r, "order.paid", "order-1")
	await(t, "the log to name the event", func() bool { return strings.Contains(log.String(), line) })
	publish(t, r, "order.paid", "order-2")
	await(t, "the second to be counted", func() bool {
		text, _, err := (engine{r}).Metrics("")
		return err == nil && strings.Contains(string(text), `weir_route_errors_total{route="large"} 2`)
	})
	shut(t, r) // it has told of all then
	text := log.String()
	if strings.Count(text, line) != 1 {
		t.Errorf("the log should have it once:\n%s", text)
	}
	for _, want := range []string{"[WARN]", "route=large", "event=order-1", "source=", "event.data.total"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %s:\n%s", want, text)
		}
	}
}
