//go:build !linux

package main

import (
	"errors"
	"runtime"
	"syscall"
	"time"
)

func apart() *syscall.SysProcAttr { return nil }

func cores() int { return runtime.NumCPU() }

func deviceWritten(string) (int64, error) {
	return 0, errors.New("what a device has written is known on Linux only")
}

func ownCPU() (time.Duration, error) {
	return 0, errors.New("the CPU time of this process is known on Linux only")
}
