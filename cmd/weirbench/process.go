package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// process is a program that the bench has started.
type process struct {
	name, address, log string
	cmd                *exec.Cmd
	started            time.Time
	done               chan struct{} // closed when it has ended
	ended              error
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// launch starts a program with its output in a file of its own.
func launch(dir, name, address, program string, args ...string) (*process, error) {
	p := &process{name: name, address: address, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	p.cmd = exec.Command(program, args...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = out, out, apart()
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.ended = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// alive is an error, with what the process said last, when it has ended.
func (p *process) alive() error {
	select {
	case <-p.done:
		b, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
		return fmt.Errorf("%s has ended (%v):\n%s", p.name, p.ended, bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
	default:
		return nil
	}
}

// ready waits until path is answered with 200, or, without a path, until the
// process takes connections.
func (p *process) ready(ctx context.Context, path string) error {
	for deadline := time.Now().Add(2 * time.Minute); ; {
		if path == "" {
			if c, err := net.Dial("tcp", p.address); err == nil {
				return c.Close()
			}
		} else if status, _, err := fasthttp.GetTimeout(nil, "http://"+p.address+path, 5*time.Second); err == nil && status == fasthttp.StatusOK {
			return nil
		}
		if err := p.alive(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s was not ready in time", p.name)
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
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

// kill ends it at once and waits. What was answered must be safe all the same.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	<-p.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// usage is what a process has used since it began.
type usage struct {
	cpu     time.Duration // user and system
	written int64         // bytes, as the kernel accounts for them when pages get dirty
}

// clockTick is the unit of /proc/<pid>/stat: Linux reports 100 a second to
// programs on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

func usageOf(pid int) (usage, error) {
	var u usage
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	if u.cpu, err = cpuTime(string(stat)); err != nil {
		return u, err
	}
	u.written, err = procNumber(fmt.Sprintf("/proc/%d/io", pid), "write_bytes:")
	return u, err
}

// cpuTime reads user and system time of a line of /proc/<pid>/stat. The second
// field is the program's name in parentheses, and may hold anything.
func cpuTime(stat string) (time.Duration, error) {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("unexpected line of stat %q", stat)
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * clockTick, err
}

// coreTime is how the time of all cores together has been spent since the machine
// started.
type coreTime struct {
	all, busy time.Duration
	// stolen is time in which the machine below this virtual one ran others.
	stolen time.Duration
}

func coreTimes() (coreTime, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return coreTime{}, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return parseCoreTime(line)
}

// parseCoreTime reads the first line of /proc/stat: cpu user nice system idle
// iowait irq softirq steal, and guest times, which are part of user and nice.
func parseCoreTime(line string) (c coreTime, err error) {
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return c, fmt.Errorf("unexpected line of stat %q", line)
	}
	for i, text := range fields[1:9] {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return c, err
		}
		spent := time.Duration(n) * clockTick
		c.all += spent
		switch i {
		case 3, 4: // idle, and waiting for a disk
		case 7:
			c.stolen += spent
		default:
			c.busy += spent
		}
	}
	return c, nil
}

// procNumber reads the number after name in a file of /proc.
func procNumber(path, name string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// anonymous is the resident anonymous memory of a process in bytes.
func (p *process) anonymous() (int64, error) {
	n, err := procNumber(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid), "RssAnon:")
	return n << 10, err
}

// resident is all memory of the process in MiB, mapped files included.
func (p *process) resident() (float64, error) {
	n, err := procNumber(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid), "VmRSS:")
	return float64(n) / 1024, err
}

// machine describes where this runs, as far as the kernel says it.
func machine() string {
	model := "processor unknown"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := "kernel unknown"
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("%d × %s, kernel %s", cores(), model, kernel)
}
