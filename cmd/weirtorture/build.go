package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// builder builds routers, each flavour once: the one that users run, one that can
// be broken (the tag weirdefect), and both with a clock that can be set.
type builder struct {
	root, dir string

	mu    sync.Mutex
	built map[[2]bool]*build
}

type build struct {
	path string
	err  error
	done chan struct{}
}

// start begins to build a router in the background.
func (b *builder) start(ctx context.Context, defect, clock bool) *build {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := [2]bool{defect, clock}
	if x := b.built[key]; x != nil {
		return x
	}
	x := &build{path: filepath.Join(b.dir, "weir"), done: make(chan struct{})}
	var args []string
	if defect {
		x.path += "-defect"
		args = append(args, "-tags", "weirdefect")
	}
	if clock {
		x.path += "-clock"
		// The flavours share most of what takes time, so one waits for the other.
		args = append(args, "-overlay", filepath.Join(b.dir, "overlay.json"))
	}
	if b.built == nil {
		b.built = map[[2]bool]*build{}
	}
	b.built[key] = x
	go func() {
		defer close(x.done)
		if clock {
			if x.err = b.overlay(ctx); x.err != nil {
				return
			}
		}
		args := append([]string{"build", "-o", x.path}, append(args, "./cmd/weir")...)
		cmd := exec.CommandContext(ctx, "nice", append([]string{"go"}, args...)...)
		cmd.Dir = b.root
		if out, err := cmd.CombinedOutput(); err != nil {
			x.err = fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}()
	return x
}

// get returns the path of a router, built.
func (b *builder) get(ctx context.Context, defect, clock bool) (string, error) {
	x := b.start(ctx, defect, clock)
	select {
	case <-x.done:
		return x.path, x.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// wait waits for all builds, which write into a folder that will be removed.
func (b *builder) wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, x := range b.built {
		<-x.done
	}
}

// clockVariable names the file that holds, as 8 bytes in the machine's order, the
// seconds by which the wall clock of a router built with the overlay is off.
const clockVariable = "WEIR_TORTURE_CLOCK"

const (
	nowBefore = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {\n\t\treturn Time{uint64(nsec), sec + unixToInternal, Local}"
	nowAfter  = "\tsec, nsec, mono := runtimeNow()\n\tsec += wallOffset()\n\tif mono == 0 {\n\t\treturn Time{uint64(nsec), sec + unixToInternal, Local}"
)

// wallOffset becomes part of package time. Only the wall clock jumps: timers go
// by the monotonic one, as they do when somebody sets a machine's clock.
const wallOffset = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var wallOffsetAt = func() *int64 {
	name, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("open " + name + ": " + err.Error())
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("map " + name + ": " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&page[0]))
}()

func wallOffset() int64 {
	if wallOffsetAt == nil { // another package's init asks before ours
		return 0
	}
	return atomic.LoadInt64(wallOffsetAt)
}
`

// overlay writes what lets "go build" take another package time.
func (b *builder) overlay(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		return err
	}
	if strings.Count(string(text), nowBefore) != 1 {
		return errors.New("time.Now of " + runtime.Version() + " is not as this program expects it: mend nowBefore in build.go")
	}
	patched, extra := filepath.Join(b.dir, "time.go"), filepath.Join(b.dir, "wall_offset.go")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(source, "time.go"):        patched,
		filepath.Join(source, "wall_offset.go"): extra,
	}})
	if err != nil {
		return err
	}
	for path, content := range map[string]string{
		patched: strings.Replace(string(text), nowBefore, nowAfter, 1), extra: wallOffset,
		filepath.Join(b.dir, "overlay.json"): string(replace),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
