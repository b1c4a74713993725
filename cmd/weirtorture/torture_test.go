package main

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestTorture runs the short form of all proofs, without the race detector: what
// make torture does.
func TestTorture(t *testing.T) {
	program := filepath.Join(t.TempDir(), "weirtorture")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	// The program dies with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(program, "-short")
	cmd.SysProcAttr = childAttr()
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnknownProofsAreRefused(t *testing.T) {
	if chosen, err := choose(proofs(), "kill,clock"); err != nil || len(chosen) != 2 || chosen[1].name != "clock" {
		t.Errorf("chose %v, %v", chosen, err)
	}
	if _, err := choose(proofs(), "kil"); err == nil {
		t.Error("took an unknown name")
	}
}
