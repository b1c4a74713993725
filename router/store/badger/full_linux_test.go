package badger_test

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

// fullPath makes the test binary a process that goes on when the disk is full.
const fullPath = "WEIR_TEST_FILL"

// commitWhileFull commits events, routings and large outcomes. It prints what
// becomes of them: accepted N, full, settled N, paused.
func commitWhileFull(path string) error {
	ctx := context.Background()
	s, err := badger.Open(ctx, badger.Options{Path: path, MinFree: 64 << 20})
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Println("open", s.Last())
	// A router commits its configuration at once, and ends where it can't.
	if _, err := s.Commit(ctx, document()); err != nil {
		return fmt.Errorf("the first commit: %w", err)
	}
	fmt.Println("started")
	lines, errs := make(chan string), make(chan error, 8)
	for range 8 {
		go func() { errs <- acceptWhileFull(ctx, s, lines) }()
	}
	go func() { errs <- settleWhileFull(ctx, s, lines) }()
	end := make(chan struct{})
	go func() { // until the input ends
		bufio.NewReader(os.Stdin).ReadString(0)
		close(end)
	}()
	for {
		select {
		case <-end:
			return nil
		case err := <-errs:
			return err
		case l := <-lines:
			fmt.Println(l)
		}
	}
}

func document() *store.Record {
	return &store.Record{Documents: []store.Document{{Kind: "k", Name: "n", Value: noise(1 << 10)}}}
}

func noise(n int) []byte {
	b := make([]byte, n)
	crand.Read(b)
	return b
}

func acceptWhileFull(ctx context.Context, s *badger.Store, lines chan<- string) error {
	for {
		now := time.Now()
		e := &event.Event{ID: event.NewID(now), Type: "t", Source: "s", Time: now, Received: now, Data: noise(16 << 10)}
		res, err := s.Commit(ctx, &store.Record{Events: []store.NewEvent{{Event: e}}})
		switch {
		case errors.Is(err, store.ErrFull):
			lines <- "full"
			time.Sleep(20 * time.Millisecond)
		case errors.Is(err, store.ErrBusy):
			time.Sleep(time.Millisecond)
		case err != nil:
			return err
		default:
			lines <- fmt.Sprint("accepted ", res.Events[0].Position)
		}
	}
}

// settleWhileFull routes each event to a lane, and has its attempt fail with a
// large answer.
func settleWhileFull(ctx context.Context, s *badger.Store, lines chan<- string) error {
	commit := func(r *store.Record) error {
		for {
			_, err := s.Commit(ctx, r)
			if !errors.Is(err, store.ErrFull) {
				return err
			}
			lines <- "paused"
			time.Sleep(20 * time.Millisecond)
		}
	}
	// A lane that was stopped goes on with what is routed and not settled.
	l, err := s.Lane(ctx, "a")
	if err != nil {
		return err
	}
	low := l.Cursor.Low
	for {
		if p := s.Progress() + 1; p <= s.Last() {
			r := &store.Record{}
			for ; p <= s.Last() && len(r.Routings) < 4; p++ {
				r.Routings = append(r.Routings, &store.Routing{Position: p, Matches: []store.Match{{Route: "r"}}, Deliveries: []store.Delivery{{Lane: "a", Content: -1}}})
			}
			if err := commit(r); err != nil {
				return err
			}
		}
		ps, err := s.Postings(ctx, "a", low, 4)
		if err != nil {
			return err
		}
		if len(ps) == 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		lo := store.LaneOutcomes{Lane: "a"}
		for _, p := range ps {
			lo.Outcomes = append(lo.Outcomes, store.Outcome{
				Ref: p.Ref, From: store.Waiting, To: store.Retrying, Due: time.Now().Add(time.Hour),
				Attempt: &store.Attempt{Number: 1, Started: time.Now(), Status: 500, Body: noise(16 << 10)},
			})
			low = p.Ref.Next()
		}
		lo.Cursor = &store.Cursor{Low: low}
		if err := commit(&store.Record{Outcomes: []store.LaneOutcomes{lo}}); err != nil {
			return err
		}
		lines <- fmt.Sprint("settled ", low.Position)
	}
}

// smallDisk mounts a file system of its own, where that is permitted.
func smallDisk(t *testing.T, size string) (path string, ok bool) {
	t.Helper()
	root := t.TempDir()
	image, mount := filepath.Join(root, "image"), filepath.Join(root, "disk")
	for _, c := range [][]string{
		{"truncate", "-s", size, image}, {"mkfs.ext4", "-q", "-F", image}, {"mkdir", mount}, {"mount", "-o", "loop", image, mount},
	} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Logf("no file system of its own here: %v: %s", c, out)
			return "", false
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mount).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
	return mount, true
}

// fill takes every block of a disk at once, and gives the file that has them.
func fill(t *testing.T, disk string) string {
	t.Helper()
	path := filepath.Join(disk, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var at int64
	for n := int64(1 << 30); n >= 4096; n /= 2 {
		for syscall.Fallocate(int(f.Fd()), 0, at, n) == nil {
			at += n
		}
	}
	return path
}

type filling struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     interface{ Close() error }
	lines  *bufio.Scanner
	stderr *strings.Builder
	// accepted and settled are the highest that were said.
	accepted, settled uint64
}

func startFilling(t *testing.T, path string) *filling {
	t.Helper()
	p := &filling{t: t, cmd: exec.Command(os.Args[0]), stderr: &strings.Builder{}}
	p.cmd.Env = append(os.Environ(), fullPath+"="+path)
	p.cmd.Stderr = p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.in, p.lines = in, bufio.NewScanner(out)
	return p
}

// until reads to a line that begins with a word, and gives it. A process that
// ends before has crashed.
func (p *filling) until(word string, more int) string {
	p.t.Helper()
	for p.lines.Scan() {
		l := p.lines.Text()
		var n uint64
		if _, err := fmt.Sscanf(l, "accepted %d", &n); err == nil {
			p.accepted = max(p.accepted, n)
		}
		if _, err := fmt.Sscanf(l, "settled %d", &n); err == nil {
			p.settled = max(p.settled, n)
		}
		if strings.HasPrefix(l, word) {
			if more--; more <= 0 {
				return l
			}
		}
	}
	p.t.Fatalf("the process ended before %q: %v\n%s", word, p.cmd.Wait(), head(p.stderr.String(), 4000))
	return ""
}

func head(s string, n int) string { return s[:min(len(s), n)] }

// TestFullDisk has another program take the last byte of a real file system as
// soon as events are refused, and again after a kill.
func TestFullDisk(t *testing.T) {
	disk, ok := smallDisk(t, "1200M")
	if !ok {
		return
	}
	path := filepath.Join(disk, "store")
	p := startFilling(t, path)
	p.until("full", 1)
	filler := fill(t, disk)
	p.until("settled", 100)
	p.until("paused", 3)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p.until("settled", 20)

	fill(t, disk)
	p.until("paused", 3)
	p.cmd.Process.Kill()
	p.cmd.Wait()
	accepted, settled := p.accepted, p.settled

	p = startFilling(t, path)
	p.until("started", 1) // what the logs held becomes a table in the reserve
	p.until("full", 1)
	p.cmd.Process.Kill()
	p.cmd.Wait()
	if strings.Contains(p.stderr.String(), "goroutine ") {
		t.Fatalf("a restart on the full disk crashed:\n%s", head(p.stderr.String(), 4000))
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p = startFilling(t, path)
	var last uint64
	if _, err := fmt.Sscanf(p.until("open", 1), "open %d", &last); err != nil || last < accepted {
		t.Errorf("the last event is %d, and %d was accepted (%v)", last, accepted, err)
	}
	p.until("settled", 1)
	if p.settled <= settled {
		t.Errorf("settled up to %d, and %d was before", p.settled, settled)
	}
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("closing: %v\n%s", err, head(p.stderr.String(), 4000))
	}
}

// TestStartOnFullDisk starts a store that was closed when its disk had no byte
// left: with its reserve it runs, without it says what is missing.
func TestStartOnFullDisk(t *testing.T) {
	disk, ok := smallDisk(t, "700M")
	if !ok {
		return
	}
	path := filepath.Join(disk, "store")
	s, err := badger.Open(t.Context(), badger.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), document()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fill(t, disk)
	for _, reserve := range []bool{true, false} {
		if !reserve {
			if err := os.Remove(filepath.Join(path, "weir.reserve")); err != nil {
				t.Fatal(err)
			}
			fillBut(t, disk, 40<<20)
		}
		s, err := badger.Open(t.Context(), badger.Options{Path: path})
		if !reserve {
			if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "MiB of free space and there are ") {
				t.Errorf("without the reserve: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), document()); err != nil {
			t.Errorf("the first commit: %v", err)
		}
		if err := os.Remove(filepath.Join(disk, "filler")); err != nil { // closing may flush
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// fillBut leaves about n bytes.
func fillBut(t *testing.T, disk string, n int64) {
	t.Helper()
	if err := os.Truncate(fill(t, disk), 0); err != nil {
		t.Fatal(err)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(disk, &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(disk, "filler"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*int64(st.Bsize)-n); err != nil {
		t.Fatal(err)
	}
}
