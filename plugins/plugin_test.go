package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/plugintest"
)

func TestNewHostAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if h, err := plugins.NewHost(ctx, plugins.Options{}); h != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", h, err)
	}
}

func TestManyCallsAtOnce(t *testing.T) {
	p := &program{}
	p.want(0, "remove", "x")
	plugin := plugintest.Load(t, plugins.Spec{Name: "t", Wasm: transform(p, 0), Pool: 3})
	var wg sync.WaitGroup
	errs := make(chan error, 200)
	for i := range 200 {
		wg.Go(func() {
			good := i%3 > 0
			data := fmt.Sprintf(`{"n":%d,"x":1}`, i)
			if !good {
				data = `{}` // the removal fails, and so the call
			}
			r, err := plugin.Run(context.Background(), message("t", data), "r")
			switch {
			case good && err != nil:
				errs <- err
			case good && string(r.Messages[0].Data) != fmt.Sprintf(`{"n":%d}`, i):
				errs <- fmt.Errorf("%d: got %s", i, r.Messages[0].Data)
			case !good && err == nil:
				errs <- fmt.Errorf("%d: got no error", i)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

// What a plugin logs reaches the host's log at its level: weir_init's lines
// once, however many instances there are, and those of the warm-up never.
func TestLogger(t *testing.T) {
	ctx := context.Background()
	var out strings.Builder
	h, err := plugins.NewHost(ctx, plugins.Options{Logger: hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Debug})})
	if err != nil {
		t.Fatal(err)
	}
	start := (&program{}).call("log", 4, "starting")
	p := &program{data: start.data}
	p.call("log", 1, "below the level").call("log", 5, "seen it")
	wasm := guest{init: start.returns(0), transform: p.returns(0), data: p.data}.build()
	plugin, err := h.Load(ctx, plugins.Spec{Name: "chatty", Wasm: wasm, Deadline: time.Minute, Pool: 3})
	if err != nil {
		t.Fatal(err)
	}
	r, err := plugin.Run(ctx, message("t", "{}"), "r")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if len(r.Logs) != 2 || r.Logs[0].Text != "below the level" || r.Logs[1].Level != 5 {
		t.Errorf("got logs %v", r.Logs)
	}
	text := out.String()
	if strings.Count(text, "[WARN]  starting: plugin=chatty") != 1 || strings.Count(text, "[ERROR] seen it: plugin=chatty event=evt_1") != 1 || strings.Count(text, "\n") != 2 {
		t.Errorf("got\n%s", text)
	}
}

func looping() []byte {
	return guest{filter: constant(1), transform: append([]byte{opLoop, blockEmpty, opBr, 0, opEnd}, constant(0)...)}.build()
}

func TestCallerGivesUp(t *testing.T) {
	h := newHost(t)
	p, err := h.Load(context.Background(), plugins.Spec{Name: "t", Wasm: looping(), Deadline: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = p.Run(ctx, message("t", "{}"), "r")
	var e *plugins.Error
	if !errors.Is(err, context.Canceled) || errors.As(err, &e) {
		t.Errorf("got %v, want the caller's own error and no fault of the plugin", err)
	}
}

// A call that is cut off while the plugin closes ends, and so does the closing.
func TestClose(t *testing.T) {
	ctx := context.Background()
	h := newHost(t)
	// Loops on every event but the warm-up, whose type has 11 characters.
	p := (&program{}).call("read", 1, buffer, 0)
	p.body = append(append(p.body, constant(11)...), opNotEqual, opIf, blockEmpty, opLoop, blockEmpty, opBr, 0, opEnd, opEnd)
	plugin, err := h.Load(ctx, plugins.Spec{Name: "t", Wasm: transform(p, 0), Deadline: time.Hour, Fuel: plugins.MaxFuel})
	if err != nil {
		t.Fatal(err)
	}
	calls := make(chan error)
	go func() { // one: it keeps a processor to itself
		_, err := plugin.Run(ctx, message("endless", "{}"), "r")
		calls <- err
	}()
	for range 20 { // the collector does not wait for the loop
		runtime.GC()
	}
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := plugin.Close(soon); err != nil {
		t.Error(err)
	}
	if err := <-calls; !errors.Is(err, plugins.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if _, err := plugin.Run(ctx, message("t", "{}"), "r"); !errors.Is(err, plugins.ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
	if err := plugin.Close(ctx); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if err := h.Close(ctx); err != nil {
		t.Error(err)
	}
	if _, err := h.Load(ctx, plugins.Spec{Name: "late", Wasm: fine().build()}); !errors.Is(err, plugins.ErrClosed) {
		t.Errorf("loading into a closed host: %v", err)
	}
}

// Two plugins of one module share compiled code: closing one leaves the other.
func TestSameModuleTwice(t *testing.T) {
	ctx := context.Background()
	h := newHost(t)
	wasm := fine().build()
	first, err := h.Load(ctx, plugins.Spec{Name: "a", Wasm: wasm, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.Load(ctx, plugins.Spec{Name: "b", Wasm: wasm, Memory: 1 << 20, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for range 10 { // more than the pool holds
		if _, err := second.Run(ctx, message("t", "{}"), "r"); err != nil {
			t.Fatal(err)
		}
	}
	if first.Build() != second.Build() || first.Name() == second.Name() {
		t.Error("build and name are mixed up")
	}
}

// A module that can't bear the warm-up event still gets the others, each with a
// fresh instance.
func TestWarmUpThatTraps(t *testing.T) {
	p := (&program{}).call("read", 1, buffer, 0)
	p.body = append(append(p.body, constant(11)...), opEqual, opIf, blockEmpty, opUnreachable, opEnd)
	plugin := plugintest.Load(t, plugins.Spec{Name: "t", Wasm: transform(p, 0)})
	for range 5 {
		if r, err := plugin.Run(context.Background(), message("t", "{}"), "r"); err != nil || r.Transform != plugins.Same {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
}

func TestCacheOnDisk(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	for range 2 {
		h, err := plugins.NewHost(ctx, plugins.Options{CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.Load(ctx, plugins.Spec{Name: "t", Wasm: fine().build(), Deadline: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := p.Run(ctx, message("t", "{}"), "r"); err != nil || r.Filter != plugins.Keep || r.Transform != plugins.Same {
			t.Errorf("got %+v, %v", r, err)
		}
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) == 0 {
			t.Errorf("nothing was kept: %v", err)
		}
	}
	file := dir + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := plugins.NewHost(ctx, plugins.Options{CacheDir: file}); err == nil || !strings.Contains(err.Error(), "cache of compiled plugins") {
		t.Errorf("a file as the cache's folder: %v", err)
	}
}
