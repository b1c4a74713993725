package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Every line of the threat model names a test, and every test that it names is
// there.
func TestThreatModelNamesItsTests(t *testing.T) {
	b, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("git", "-C", "../..", "grep", "-hoE", "--untracked", `^func Test\w+`, "--", "*_test.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for line := range strings.SplitSeq(string(out), "\n") {
		tests[strings.TrimPrefix(line, "func ")] = true
	}
	name := regexp.MustCompile("`(Test\\w+)`")
	lines, threats := 0, false
	for line := range strings.SplitSeq(string(b), "\n") {
		switch {
		case strings.HasPrefix(line, "| threat "):
			threats = true
			continue
		case !strings.HasPrefix(line, "|"):
			threats = false
			continue
		case !threats || strings.HasPrefix(line, "| ---"):
			continue
		}
		lines++
		found := name.FindAllStringSubmatch(line, -1)
		if len(found) == 0 {
			t.Errorf("no test: %s", line)
		}
		for _, m := range found {
			if !tests[m[1]] {
				t.Errorf("there is no %s: %s", m[1], line)
			}
		}
	}
	if lines < 20 {
		t.Errorf("only %d lines", lines)
	}
}
