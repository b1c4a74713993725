package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	untidy = "route \"r\" {\nto=[destination.a]\n  fallback   =  true\n}\n\n"
	tidy   = "route \"r\" {\n  to       = [destination.a]\n  fallback = true\n}\n"
)

func TestFmtWrites(t *testing.T) {
	path := configFile(t, "a.hcl", untidy)
	out, _, code := runConfig(t, "", "fmt", path)
	if code != 0 || out != path+"\n" {
		t.Fatalf("code %d, %q", code, out)
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != tidy {
		t.Fatalf("%q, %v", b, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if out, _, code = runConfig(t, "", "fmt", "-c", path); code != 0 || out != "" {
		t.Fatalf("again: code %d, %q", code, out)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".weir-fmt-*")); err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}

func TestFmtCheckAndDiff(t *testing.T) {
	path := configFile(t, "a.hcl", untidy)
	good := configFile(t, "b.hcl", tidy)
	out, _, code := runConfig(t, "", "fmt", "--check", path, good)
	if code != 2 || out != path+"\n" {
		t.Errorf("check: code %d, %q", code, out)
	}
	out, _, code = runConfig(t, "", "fmt", "--diff", filepath.Dir(path))
	if code != 2 || !strings.Contains(out, "\n-to=[destination.a]\n") || !strings.Contains(out, "\n+  to       = [destination.a]\n") || !strings.HasPrefix(out, "--- "+path) {
		t.Errorf("diff: code %d, %s", code, out)
	}
	if out, _, code = runConfig(t, "", "fmt", "--check", "--diff", good); code != 0 || out != "" {
		t.Errorf("good: code %d, %q", code, out)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != untidy {
		t.Errorf("the file was changed: %q, %v", b, err)
	}
}

// With -o json each file has its entry, and a mistake is in it as validate tells it.
func TestFmtJSON(t *testing.T) {
	path, bad := configFile(t, "a.hcl", untidy), configFile(t, "bad.hcl", "route {{\n")
	var said struct {
		Files []struct {
			File, Diff, Text string
			Changed          bool
			Report           *struct {
				Valid       bool
				Diagnostics []struct{ Summary string }
			}
		}
	}
	run := func(code int, stdin string, args ...string) {
		t.Helper()
		said.Files = nil
		out, errOut, got := runConfig(t, stdin, append(args, "-o", "json")...)
		if err := json.Unmarshal([]byte(out), &said); err != nil || got != code || errOut != "" {
			t.Fatalf("weir %v: code %d, %v\n%s%s", args, got, err, out, errOut)
		}
	}
	run(1, "", "fmt", "--diff", path, bad)
	if f := said.Files; len(f) != 2 || !f[0].Changed || !strings.Contains(f[0].Diff, "\n-to=") || f[1].Report == nil || f[1].Report.Valid || len(f[1].Report.Diagnostics) == 0 {
		t.Errorf("a difference and a mistake: %+v", f)
	}
	run(0, untidy, "fmt", "-")
	if f := said.Files; len(f) != 1 || !f[0].Changed || f[0].Text != tidy {
		t.Errorf("standard input: %+v", f)
	}
	for _, changed := range []bool{true, false} {
		run(0, "", "fmt", path)
		if f := said.Files; len(f) != 1 || f[0].File != path || f[0].Changed != changed {
			t.Errorf("written: %+v, want changed %v", f, changed)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != tidy {
		t.Errorf("%q, %v", b, err)
	}
}

func TestFmtStandardInput(t *testing.T) {
	if out, _, code := runConfig(t, untidy, "fmt", "-"); code != 0 || out != tidy {
		t.Errorf("code %d, %q", code, out)
	}
	if _, _, code := runConfig(t, untidy, "fmt", "--check", "-"); code != 2 {
		t.Errorf("check: code %d", code)
	}
}

func TestFmtRefuses(t *testing.T) {
	path := configFile(t, "a.hcl", "route \"r\" {\n  to = [\n")
	good := configFile(t, "b.hcl", untidy)
	_, errs, code := runConfig(t, "", "fmt", path, good)
	if code != 1 || !strings.Contains(errs, path+" line ") {
		t.Errorf("syntax: code %d, %s", code, errs)
	}
	if b, err := os.ReadFile(good); err != nil || string(b) != tidy {
		t.Errorf("the other file: %q, %v", b, err)
	}
	if _, errs, code = runConfig(t, "", "fmt", "no-such.hcl"); code != 1 || !strings.Contains(errs, "there is no no-such.hcl") {
		t.Errorf("missing: code %d, %s", code, errs)
	}
}

func TestFmtKeepsLinks(t *testing.T) {
	path := configFile(t, "a.hcl", untidy)
	link := filepath.Join(filepath.Dir(path), "link.hcl")
	if err := os.Symlink("a.hcl", link); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := runConfig(t, "", "fmt", link); code != 0 {
		t.Fatalf("code %d, %s", code, errs)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Fatalf("the link is gone: %v, %v", info, err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != tidy {
		t.Fatalf("%q, %v", b, err)
	}
}
