package attempt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func fileDestination(t *testing.T, path string) Sender {
	t.Helper()
	return open(t, destination(t, "file://"+path))
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFileLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rest.jsonl")
	s := fileDestination(t, path)
	for _, d := range []Delivery{
		{ContentType: "application/json", Body: []byte("{\"a\":\r\n 1.0}\n")},
		{ContentType: "text/plain", Body: []byte("two\nlines")},
		{ContentType: "image/png", Body: []byte{0xff, 0x00}},
	} {
		if o := s.Send(t.Context(), &d); !o.OK || o.Reason != "" || o.Status != 0 || o.Started.IsZero() {
			t.Fatalf("outcome is %+v", o)
		}
	}
	const want = "{\"a\":   1.0} \n\"two\\nlines\"\n{\"data_base64\":\"/wA=\"}\n"
	if got := read(t, path); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Lines of several senders to one file are whole, and none is missing.
func TestFileShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rest.jsonl")
	senders := []Sender{fileDestination(t, path), fileDestination(t, filepath.Dir(path)+"/./rest.jsonl")}
	var all sync.WaitGroup
	for i, s := range senders {
		for j := range 4 {
			all.Add(1)
			go func() {
				defer all.Done()
				for k := range 50 {
					body := fmt.Appendf(nil, `{"id":"%d-%d-%d","pad":%q}`, i, j, k, strings.Repeat("x", k*40))
					if o := s.Send(t.Context(), &Delivery{ContentType: "application/json", Body: body}); !o.OK {
						t.Errorf("outcome is %+v", o)
					}
				}
			}()
		}
	}
	all.Wait()
	seen := map[string]bool{}
	for line := range strings.Lines(read(t, path)) {
		var v struct{ ID string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if seen[v.ID] {
			t.Errorf("%s is there twice", v.ID)
		}
		seen[v.ID] = true
	}
	if len(seen) != 400 {
		t.Errorf("%d lines, want 400", len(seen))
	}
}

func TestFileEndsATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rest.jsonl")
	if err := os.WriteFile(path, []byte("{\"whole\":1}\n{\"torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := fileDestination(t, path).Send(t.Context(), delivery()); !o.OK {
		t.Fatalf("outcome is %+v", o)
	}
	if got, want := read(t, path), "{\"whole\":1}\n{\"torn\n{\"test\": 2432232314}\n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestFileMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rest.jsonl")
	s := fileDestination(t, path)
	for i := range 2 {
		if o := s.Send(t.Context(), delivery()); !o.OK {
			t.Fatalf("outcome is %+v", o)
		}
		if i == 0 {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if read(t, path) != read(t, path+".1") {
		t.Error("the second line is not in a new file")
	}
}

func TestFileErrors(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{"no folder": dir + "/none/a.jsonl", "a folder": dir} {
		s := fileDestination(t, path)
		if o := s.Send(t.Context(), delivery()); o.OK || o.Reason != ReasonIO || o.Error == "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	// What failed may work again: nothing is remembered.
	s := fileDestination(t, dir+"/later/a.jsonl")
	s.Send(t.Context(), delivery())
	if err := os.Mkdir(dir+"/later", 0o700); err != nil {
		t.Fatal(err)
	}
	if o := s.Send(t.Context(), delivery()); !o.OK {
		t.Errorf("outcome is %+v", o)
	}
}

func TestFileStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := fileDestination(t, filepath.Join(t.TempDir(), "a.jsonl"))
	// Either of the two may win, but nothing else.
	if o := s.Send(ctx, delivery()); !o.OK && o.Reason != ReasonStopped {
		t.Errorf("outcome is %+v", o)
	}
}

func TestStdout(t *testing.T) {
	var b bytes.Buffer
	s, err := Open(destination(t, "stdout:"), Options{Stdout: &b})
	if err != nil {
		t.Fatal(err)
	}
	if o := s.Send(t.Context(), delivery()); !o.OK {
		t.Fatalf("outcome is %+v", o)
	}
	if b.String() != "{\"test\": 2432232314}\n" {
		t.Errorf("printed %q", b.String())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	closed, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	s, err = Open(destination(t, "stdout:"), Options{Stdout: closed})
	if err != nil {
		t.Fatal(err)
	}
	if o := s.Send(t.Context(), delivery()); o.OK || o.Reason != ReasonIO {
		t.Errorf("outcome is %+v", o)
	}
}
