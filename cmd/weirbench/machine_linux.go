package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// apart keeps Ctrl-C for the bench to act on, and ends what it has started
// should it die itself.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func cores() int { return runtime.NumCPU() }

// deviceWritten flushes all file systems and gives the bytes that were ever
// written to the device below dir, by anyone.
func deviceWritten(dir string) (int64, error) {
	syscall.Sync()
	var s syscall.Stat_t
	if err := syscall.Stat(dir, &s); err != nil {
		return 0, err
	}
	major, minor := (s.Dev>>8)&0xfff, (s.Dev&0xff)|((s.Dev>>12)&0xfff00)
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", major, minor))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b))
	if len(f) < 7 {
		return 0, fmt.Errorf("unexpected stat of the device: %q", b)
	}
	sectors, err := strconv.ParseInt(f[6], 10, 64)
	return sectors * 512, err
}

// ownCPU is what all threads of this process have used, to the nanosecond.
func ownCPU() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("CPU time of this process: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
