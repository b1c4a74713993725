//go:build !linux

package main

import "syscall"

// apart keeps Ctrl-C for the tour to pass on.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
