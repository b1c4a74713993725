package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tour is one run. Its options come from the command line.
type tour struct {
	weir, config, payloads, dir string
	once, free                  bool
	out                         io.Writer

	address   string // of the router
	secret    string // GitHub's
	started   time.Time
	receivers []*receiver
	router    *process
	accepted  map[string]payload // what was answered 202, by event id
	refused   refusals
}

// receiver is a development receiver: "weir sink" with a log of its own.
type receiver struct {
	*process
	name, address, secret, log string
	fail                       int
}

type process struct {
	name string
	cmd  *exec.Cmd
	done chan error
}

func (t *tour) say(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

// setUp chooses addresses and secrets and empties the logs.
func (t *tour) setUp() error {
	if _, err := os.Stat(t.weir); err != nil {
		return fmt.Errorf("%w: build it with make build", err)
	}
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return err
	}
	t.started = time.Now().Add(-time.Second)
	t.secret = randomSecret()
	t.accepted = map[string]payload{}
	t.address = "http://127.0.0.1:8080"
	for _, r := range []*receiver{
		{name: "chat", address: "127.0.0.1:9101"},
		{name: "archive", address: "127.0.0.1:9102"},
		{name: "tickets", address: "127.0.0.1:9103", fail: 2},
	} {
		if t.free {
			address, err := freeAddress()
			if err != nil {
				return err
			}
			r.address = address
		}
		r.secret = "whsec_" + randomSecret()
		r.log = filepath.Join(t.dir, r.name+".jsonl")
		if err := os.Remove(r.log); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		t.receivers = append(t.receivers, r)
	}
	if t.free {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		t.address = "http://" + address
		return os.RemoveAll(filepath.Join(t.dir, "data"))
	}
	return nil
}

func randomSecret() string {
	var b [24]byte
	rand.Read(b[:]) // never fails, by its documentation
	return base64.StdEncoding.EncodeToString(b[:])
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start starts the receivers and the router and waits until it is ready.
func (t *tour) start(ctx context.Context) error {
	env := os.Environ()
	env = append(env, "GITHUB_SECRET="+t.secret)
	if t.free {
		env = append(env, "WEIR_LISTEN="+t.address[len("http://"):], "WEIR_DATA="+absolute(filepath.Join(t.dir, "data")))
	}
	for _, r := range t.receivers {
		args := []string{"sink", "--addr", r.address, "--secret", r.secret, "--log", r.log}
		if r.fail > 0 {
			args = append(args, "--fail", fmt.Sprint(r.fail))
		}
		p, err := t.launch(r.name, env, args...)
		if err != nil {
			return err
		}
		r.process = p
		name := map[string]string{"chat": "CHAT", "archive": "ARCHIVE", "tickets": "TICKETS"}[r.name]
		env = append(env, name+"_URL=http://"+r.address+"/"+r.name, name+"_SECRET="+r.secret)
		note := ""
		if r.fail > 0 {
			note = fmt.Sprintf(", answers 503 to the first %d attempts of each delivery", r.fail)
		}
		t.say("receiver %-8s at http://%s%s", r.name, r.address, note)
	}
	p, err := t.launch("router", env, "serve", "--config", t.config)
	if err != nil {
		return err
	}
	t.router = p
	if err := t.ready(ctx); err != nil {
		return err
	}
	t.say("router            at %s, configured by %s", t.address, t.config)
	t.say("")
	return nil
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// launch starts the program with its output in a file of its own.
func (t *tour) launch(name string, env []string, args ...string) (*process, error) {
	out, err := os.Create(filepath.Join(t.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	cmd := exec.Command(t.weir, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	// Ctrl-C is ours to pass on, receivers last.
	cmd.SysProcAttr = apart()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait() }()
	return p, nil
}

// ready waits for the router and the receivers.
func (t *tour) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if err := t.alive(); err != nil {
			return err
		}
		if t.answersReady(ctx) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the router was not ready in time, see %s", filepath.Join(t.dir, "router.log"))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (t *tour) answersReady(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.address+"/readyz", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return false
	}
	for _, r := range t.receivers {
		c, err := net.DialTimeout("tcp", r.address, time.Second)
		if err != nil {
			return false
		}
		if err := c.Close(); err != nil {
			return false
		}
	}
	return true
}

// alive says which process has ended, and what it said last.
func (t *tour) alive() error {
	all := []*process{t.router}
	for _, r := range t.receivers {
		all = append(all, r.process)
	}
	for _, p := range all {
		if p == nil {
			continue
		}
		select {
		case err := <-p.done:
			p.done <- err
			last := tail(filepath.Join(t.dir, p.name+".log"))
			if strings.Contains(last, "address already in use") {
				last += "\nanother make run may still be going, or another program has the port"
			}
			return fmt.Errorf("%s has ended (%v):\n%s", p.name, err, last)
		default:
		}
	}
	return nil
}

func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}

// wait keeps everything running until ctx ends or something else does.
func (t *tour) wait(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			t.say("\nstopping")
			return nil
		case <-time.After(time.Second):
		}
		if err := t.alive(); err != nil {
			return err
		}
	}
}

// stop ends the router before the receivers, so that it can finish what is in
// flight.
func (t *tour) stop() {
	all := []*process{t.router}
	for _, r := range t.receivers {
		all = append(all, r.process)
	}
	for _, p := range all {
		if p == nil {
			continue
		}
		// An error says that it has ended already.
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-p.done:
			p.done <- err
		case <-time.After(40 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
}
