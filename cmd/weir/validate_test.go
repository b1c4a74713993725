package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runConfig runs the command line in process and returns what it printed and
// its exit code.
func runConfig(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	root := newRoot()
	var out, errs bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	err := root.Execute()
	if err != nil && !silent(err) {
		errs.WriteString(err.Error())
	}
	return out.String(), errs.String(), exitCode(err)
}

func configFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

const validConfig = `destination "d" {
  url = "stdout:"
}

route "r" {
  to = [destination.d]
}
`

func TestValidate(t *testing.T) {
	good := configFile(t, "good.hcl", validConfig)
	out, _, code := runConfig(t, "", "validate", "-c", good)
	if code != 0 || out != "The configuration is valid: 1 source, 0 plugins, 1 destination, 1 route.\n" {
		t.Errorf("valid: code %d, %q", code, out)
	}

	bad := configFile(t, "bad.hcl", strings.Replace(validConfig, "to =", "two =", 1)+"plugin \"p\" {\n  wasm = \"bad.hcl\"\n}\n")
	out, _, code = runConfig(t, "", "validate", "-c", bad)
	if code != 1 || !strings.Contains(out, `Did you mean "to"?`) || !strings.Contains(out, "is no WebAssembly module") || !strings.Contains(out, "The configuration has 3 errors.") {
		t.Errorf("invalid: code %d, %s", code, out)
	}

	for _, args := range [][]string{{"validate", "--json", "-c", bad}, {"validate", "-o", "json", "-c", bad}} {
		out, _, code = runConfig(t, "", args...)
		var report struct {
			FormatVersion string `json:"format_version"`
			Valid         bool   `json:"valid"`
			ErrorCount    int    `json:"error_count"`
			Diagnostics   []struct {
				Severity, Summary string
				Range             struct{ Filename string }
			}
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if code != 1 || report.Valid || report.FormatVersion != "1.0" || report.ErrorCount != 3 || len(report.Diagnostics) != 3 || report.Diagnostics[0].Range.Filename != bad {
			t.Errorf("json: code %d, %s", code, out)
		}
	}

	// A module that is one, but has none of a plugin's exports.
	empty := filepath.Join(t.TempDir(), "router.hcl")
	if err := os.WriteFile(empty, []byte("plugin \"p\" {\n  wasm = \"m.wasm\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(empty), "m.wasm"), []byte("\x00asm\x01\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, code = runConfig(t, "", "validate", "-c", empty); code != 1 || !strings.Contains(out, "Unusable module") {
		t.Errorf("module without exports: code %d, %s", code, out)
	}

	if out, _, code = runConfig(t, "", "validate", "-c", "no-such.hcl"); code != 1 || !strings.Contains(out, "There is no no-such.hcl") {
		t.Errorf("missing: code %d, %s", code, out)
	}
	if _, _, code = runConfig(t, "", "validate", "extra"); code != 2 {
		t.Errorf("wrong usage: code %d", code)
	}
}
