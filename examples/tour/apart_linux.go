package main

import "syscall"

// apart keeps Ctrl-C for the tour to pass on, and ends what it has started
// should it die itself.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
