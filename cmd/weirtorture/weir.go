package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// weir is a router under test: the binary as users run it, with a
// configuration and a store in a folder of its own.
type weir struct {
	binary  string
	env     []string
	dir     string // configuration and logs
	store   string // path of the store
	address string
	minFree string
	blocks  string // what the configuration holds besides server and store

	starts int
	cmd    *exec.Cmd
	log    string // of this start
	done   chan struct{}
	ended  error // once done is closed
}

// errEnded says that the router has ended by itself.
var errEnded = errors.New("the router has ended")

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (w *weir) url(path string) string { return "http://" + w.address + path }

func (w *weir) configPath() string { return filepath.Join(w.dir, "router.hcl") }

// configure writes the configuration, whole: a reload may read it at any moment.
func (w *weir) configure() error {
	text := fmt.Sprintf("server {\n  listen = %q\n}\nstore \"badger\" {\n  path     = %q\n  min_free = %q\n}\nlog {\n  level = \"info\"\n}\n%s",
		w.address, w.store, w.minFree, w.blocks)
	tmp := w.configPath() + ".new"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, w.configPath())
}

// launch starts the router and does not wait for it.
func (w *weir) launch() error {
	if err := w.configure(); err != nil {
		return err
	}
	w.starts++
	w.log = filepath.Join(w.dir, fmt.Sprintf("weir-%03d.log", w.starts))
	out, err := os.Create(w.log)
	if err != nil {
		return err
	}
	defer out.Close() // the child has its own
	w.cmd = exec.Command(w.binary, "serve", "--config", w.configPath())
	w.cmd.Env = append(os.Environ(), w.env...)
	w.cmd.Stdout, w.cmd.Stderr, w.cmd.SysProcAttr = out, out, childAttr()
	if err := w.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", w.binary, err)
	}
	w.done = make(chan struct{})
	cmd, done := w.cmd, w.done
	go func() {
		w.ended = cmd.Wait()
		close(done)
	}()
	return nil
}

// start launches the router and waits until it is ready. It returns an error
// that wraps errEnded when it ends instead.
func (w *weir) start(ctx context.Context) error {
	if err := w.launch(); err != nil {
		return err
	}
	return w.ready(ctx, 60*time.Second)
}

func (w *weir) ready(ctx context.Context, within time.Duration) error {
	return w.answers(ctx, within, func(ready bool) bool { return ready })
}

// answers waits until the router listens and is as it should be.
func (w *weir) answers(ctx context.Context, within time.Duration, as func(ready bool) bool) error {
	return eventually(ctx, within, "the router to be ready", func() (bool, error) {
		if !w.alive() {
			return false, fmt.Errorf("%w (%v):\n%s", errEnded, w.ended, w.lastWords(15))
		}
		res, err := apiClient.Get(w.url("/readyz"))
		if err != nil {
			return false, nil // it does not listen yet
		}
		defer res.Body.Close()
		return as(res.StatusCode == http.StatusOK), nil
	})
}

func (w *weir) alive() bool {
	if w.done == nil {
		return false
	}
	select {
	case <-w.done:
		return false
	default:
		return true
	}
}

// crash reports how the router ended in a way that it never should, "" if it did
// not: by a signal that was not ours, or with the trace of a panic.
func (w *weir) crash(killed bool) string {
	text := w.words()
	for _, trace := range []string{"SIGBUS", "SIGSEGV", "panic:", "fatal error:", "goroutine 1 ["} {
		if i := strings.Index(text, trace); i >= 0 {
			lines := strings.SplitN(text[strings.LastIndex(text[:i], "\n")+1:], "\n", 21)
			return "its log holds " + trace + ":\n" + strings.Join(lines[:min(len(lines), 20)], "\n")
		}
	}
	var exit *exec.ExitError
	if !w.alive() && errors.As(w.ended, &exit) {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() && !killed {
			return "it died of " + s.Signal().String() + ":\n" + w.lastWords(15)
		}
	}
	return ""
}

// kill is kill -9. It returns when the process is gone.
func (w *weir) kill() {
	if w.done == nil {
		return
	}
	_ = w.cmd.Process.Kill() // an error says that it has ended
	<-w.done
}

// stop is SIGTERM.
func (w *weir) stop(within time.Duration) error {
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-w.done:
	case <-time.After(within):
		w.kill()
		return violated("the router did not stop within %s of SIGTERM", within)
	}
	if w.ended != nil {
		return violated("the router ended with %v on SIGTERM:\n%s", w.ended, w.lastWords(15))
	}
	return nil
}

func (w *weir) words() string {
	b, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (w *weir) lastWords(n int) string {
	lines := strings.Split(strings.TrimSpace(w.words()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// anonymous is the resident anonymous memory in bytes.
func (w *weir) anonymous() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("RssAnon:")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("the kernel does not tell RssAnon")
}

// apiClient is for questions; producers have connections of their own.
var apiClient = &http.Client{Timeout: 30 * time.Second}

// reload asks the router to read its files again.
func (w *weir) reload() error {
	res, err := apiClient.Post(w.url("/api/reload"), "application/json", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("reload answered %d %s (%w)", res.StatusCode, b, err)
	}
	return nil
}

// errLate says that something did not happen in time.
var errLate = errors.New("waited in vain")

// eventually polls until ok, an error, or the time is over.
func eventually(ctx context.Context, within time.Duration, what string, ok func() (bool, error)) error {
	deadline := time.Now().Add(within)
	for {
		is, err := ok()
		if err != nil || is {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w %s for %s", errLate, within, what)
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// pause sleeps, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// command runs a program of the system.
func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}

// mustLive is a violation when the router has ended.
func (w *weir) mustLive() error {
	if w.alive() {
		return nil
	}
	why := w.crash(false)
	if why == "" {
		why = fmt.Sprintf("it ended (%v):\n%s", w.ended, w.lastWords(15))
	}
	return violated("the router does not run any more: %s", why)
}
