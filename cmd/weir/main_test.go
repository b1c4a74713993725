package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt/receiver"
)

// weirBinary is the program that the tests drive, built once, without the race
// detector: what users run.
var weirBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "weir-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	weirBinary = filepath.Join(dir, "weir")
	if out, err := exec.Command("go", "build", "-o", weirBinary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// writeFile writes a file below dir and returns its path.
func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// weir runs a command to its end.
func weir(t *testing.T, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return weirStdin(t, dir, "", args...)
}

// weirEnv runs a command with more in its environment.
func weirEnv(t *testing.T, dir string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return weirWith(t, dir, "", env, args...)
}

func weirStdin(t *testing.T, dir, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return weirWith(t, dir, stdin, nil, args...)
}

func weirWith(t *testing.T, dir, stdin string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(weirBinary, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// running is a "weir serve" process.
type running struct {
	base string
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{}
	err  error
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serveFile starts the router and waits until it is ready. address is that of
// server.listen.
func serveFile(t *testing.T, config, address string, env ...string) *running {
	t.Helper()
	return launch(t, config, address, isReady, env...)
}

func isReady(r *running) bool {
	res, err := http.Get(r.base + "/readyz")
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func launch(t *testing.T, config, address string, up func(*running) bool, env ...string) *running {
	t.Helper()
	return launchArgs(t, []string{"serve", "--config", config}, address, up, env...)
}

// launchArgs is launch with a command line of the caller's.
func launchArgs(t *testing.T, args []string, address string, up func(*running) bool, env ...string) *running {
	t.Helper()
	r := &running{base: "http://" + address, log: &logBuffer{}, done: make(chan struct{})}
	r.cmd = exec.Command(weirBinary, args...)
	r.cmd.Env = append(os.Environ(), env...)
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.done)
	}()
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("the router's log:\n%s", lastLines(r.log.String(), 60))
		}
	})
	await(t, "the router to be up", func() bool {
		select {
		case <-r.done:
			t.Fatalf("the router has ended: %v\n%s", r.err, r.log)
		default:
		}
		return up(r)
	})
	return r
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// kill is kill -9.
func (r *running) kill() {
	_ = r.cmd.Process.Kill() // an error says that it has ended
	<-r.done
}

// stop is SIGTERM; it returns when the process has ended.
func (r *running) stop(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-r.done
	if r.err != nil {
		t.Fatalf("the router ended with %v\n%s", r.err, r.log)
	}
}

// await polls until ok. Its bound is far beyond what anything here takes.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// post sends JSON and returns the status and the answer.
func post(t *testing.T, url, body string, header ...string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode, decode(t, res.Body)
}

func get(t *testing.T, url string) (int, map[string]any) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode, decode(t, res.Body)
}

func decode(t *testing.T, r io.Reader) map[string]any {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	v := map[string]any{}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
	}
	return v
}

// arrivals collects what a receiver of the test got.
type arrivals struct {
	mu  sync.Mutex
	all []receiver.Arrival
}

func (a *arrivals) add(x receiver.Arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, x)
}

func (a *arrivals) list() []receiver.Arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]receiver.Arrival(nil), a.all...)
}

// byEvent gives what arrived by the event's id, where the body is an envelope.
func (a *arrivals) byEvent() map[string][]receiver.Arrival {
	m := map[string][]receiver.Arrival{}
	for _, x := range a.list() {
		if id := eventID(x.Body); id != "" {
			m[id] = append(m[id], x)
		}
	}
	return m
}

// eventIDFrom is the event_id of an answer, "" when it was cut off.
func eventIDFrom(res *http.Response) string {
	var a struct {
		EventID string `json:"event_id"`
	}
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		return ""
	}
	return a.EventID
}

// eventID is that of an envelope.
func eventID(body string) string {
	var e struct {
		EventID string `json:"event_id"`
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		return ""
	}
	return e.EventID
}
