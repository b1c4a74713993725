package lane

import (
	"testing"
	"time"
)

func TestClockNeverGoesBack(t *testing.T) {
	c := newClock(time.Time{})
	passed := c.start.Add(time.Minute) // as the monotonic reading has it
	if got := c.at(passed).Sub(c.base); got != time.Minute {
		t.Errorf("after a minute it has gone on by %v", got)
	}
	c = &clock{start: passed, base: passed.Round(0).Add(time.Hour)} // it was an hour ahead once
	if got := c.at(passed.Add(time.Second)); !got.Equal(passed.Round(0).Add(time.Hour + time.Second)) {
		t.Errorf("with the wall clock an hour behind it says %v", got)
	}
	c = &clock{start: passed, base: passed.Round(0).Add(-time.Hour)}
	if got := c.at(passed.Add(time.Second)); !got.Equal(passed.Round(0).Add(time.Second)) {
		t.Errorf("set forward by an hour it says %v", got)
	}
	if got := c.at(passed.Add(2 * time.Second)); !got.Equal(passed.Round(0).Add(2 * time.Second)) {
		t.Errorf("a second later it says %v", got)
	}
}
