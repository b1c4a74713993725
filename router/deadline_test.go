package router

import (
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"testing"
	"time"
)

// noting is a connection that notes its deadlines, in seconds since 1970.
type noting struct {
	net.Conn
	read, write []int64
}

func (c *noting) Read(b []byte) (int, error)  { return len(b), nil }
func (c *noting) Write(b []byte) (int, error) { return len(b), nil }
func (c *noting) SetReadDeadline(t time.Time) error {
	c.read = append(c.read, seconds(t))
	return nil
}
func (c *noting) SetWriteDeadline(t time.Time) error {
	c.write = append(c.write, seconds(t))
	return nil
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// Requests that come whole move no timer; a deadline is never later than was asked.
func TestDeadlinesMoveWhenTheyMatter(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	under := &noting{}
	c := newPatientConn(under)
	do := func(f func([]byte) (int, error)) {
		t.Helper()
		if n, err := f(make([]byte, 1)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	want := func(what string, got []int64, want ...int64) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the deadlines are %v, want %v", what, got, want)
		}
	}
	set := func(f func(time.Time) error, s int64) {
		t.Helper()
		var when time.Time
		if s != 0 {
			when = at(s)
		}
		if err := f(when); err != nil {
			t.Fatal(err)
		}
	}
	do(c.Read)
	want("none", under.read)
	for now := int64(1000); now < 1004; now++ { // a request a second
		set(c.SetReadDeadline, now+120)
		do(c.Read)
		set(c.SetReadDeadline, now+30) // and no read
		set(c.SetWriteDeadline, now+60)
		do(c.Write)
	}
	want("whole requests", under.read, 1120)
	want("whole requests", under.write, 1060)
	set(c.SetReadDeadline, 1124)
	do(c.Read)
	want("later than the slack", under.read, 1120, 1124)
	set(c.SetReadDeadline, 1034)
	do(c.Read)
	want("sooner", under.read, 1120, 1124, 1034)
	set(c.SetDeadline, 0)
	do(c.Read)
	do(c.Write)
	want("taken away", under.read, 1120, 1124, 1034, 0)
	want("taken away", under.write, 1060, 0)
	set(c.SetDeadline, 2000)
	do(c.Write)
	want("of writing only", under.read, 1120, 1124, 1034, 0)
	want("of writing only", under.write, 1060, 0, 2000)
}

// A deadline counts for who waits already, and one in the past ends a read at once.
func TestDeadlineOfWhoWaits(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	c := newPatientConn(here)
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	read := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
		_, err = c.Read(make([]byte, 1))
		read <- err
	}()
	if _, err := io.WriteString(there, "x"); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	// Whether the second read waits by now or not yet.
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
