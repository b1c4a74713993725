package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// insideVariable tells the program that it has a mount namespace of its own.
const insideVariable = "WEIR_TORTURE_INSIDE"

// apart runs the program again in a mount namespace of its own, where it may. The
// kernel undoes its mounts when it ends, however that comes about.
func apart(ctx context.Context) (code int, again bool) {
	if os.Getenv(insideVariable) != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			fmt.Fprintln(os.Stderr, "keep the mounts apart:", err)
			return 1, true
		}
		return 0, false
	}
	if os.Geteuid() != 0 {
		return 0, false
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	// A child dies with the thread that started it.
	runtime.LockOSThread()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		// Containers may forbid it. What needs mounts will say so.
		return 0, false
	}
	forward := make(chan os.Signal, 1)
	signal.Notify(forward, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range forward {
			_ = cmd.Process.Signal(s) // it may have ended
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return max(1, exit.ExitCode()), true
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// canMount says why nothing can be mounted here.
func canMount() error {
	if os.Getenv(insideVariable) == "" {
		return errors.New("mounting needs root, and a mount namespace of its own")
	}
	for _, program := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return err
	}
	return nil
}

// canCutPower says why a disk of our own can't be made here.
func canCutPower() error {
	if err := canMount(); err != nil {
		return err
	}
	_, err := os.Stat("/dev/fuse")
	return err
}

// makeExt4 puts an empty file system into a file or device.
func makeExt4(ctx context.Context, path string) error {
	return command(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=16", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", path)
}
