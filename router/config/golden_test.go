package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the expected diagnostics")

// environment is what the tests' env() finds.
func environment(name string) (string, bool) {
	v, ok := map[string]string{"SET": "s3cret-value", "EMPTY": "", "SPACED": "s3cret-value\n"}[name]
	return v, ok
}

var module = []byte("\x00asm\x01\x00\x00\x00")

// TestGolden compares what is said about each file of testdata with the text
// beside it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c, r := Parse(filepath.Base(name), src, Options{LookupEnv: environment, Dir: "."})
			if (c == nil) != r.HasErrors() {
				t.Fatalf("config %v with errors %v", c, r.HasErrors())
			}
			var b strings.Builder
			if err := r.WriteText(&b, 0, false); err != nil {
				t.Fatal(err)
			}
			wd, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(b.String(), wd, "/dir")
			json, err := r.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"hunter2", "s3cret"} {
				if strings.Contains(got+string(json), secret) {
					t.Errorf("a secret is shown")
				}
			}
			golden := strings.TrimSuffix(name, ".hcl") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs; see the change with -update:\n%s", golden, got)
			}
		})
	}
}

// TestLaterIsRefused takes every name that the contract has and this version
// does not, in its block.
func TestLaterIsRefused(t *testing.T) {
	blocks := map[string]schema{
		"": topSchema, "server": serverSchema, `store "badger"`: storeSchema, "defaults": defaultsSchema,
		`source "s"`: sourceSchema, `plugin "p"`: pluginSchema, `destination "d"`: destinationSchema, `route "r"`: routeSchema,
	}
	n := 0
	for block, s := range blocks {
		for _, name := range s.laterAttributes {
			n += refused(t, block, name, name+" = 1")
		}
		for _, name := range s.laterBlocks {
			n += refused(t, block, name, name+" {\n}")
			n += refused(t, block, name, name+" \"x\" {\n}")
		}
	}
	if n == 0 {
		t.Fatalf("only %d names", n)
	}
}

func refused(t *testing.T, block, name, body string) int {
	t.Helper()
	src := body + "\n"
	if block != "" {
		src = block + " {\n" + body + "\n}\n"
	}
	_, r := Parse("x.hcl", []byte(src), Options{LookupEnv: environment})
	for _, d := range r.Diagnostics {
		if d.Summary == `"`+name+`" is not supported yet` && d.Subject != nil {
			return 1
		}
	}
	t.Errorf("%s is not refused by name: %v", src, r.Err())
	return 0
}

func TestUnknownIsRefused(t *testing.T) {
	for _, block := range []string{"", "server", `store "badger"`, "defaults", "log", `source "s"`, `plugin "p"`, `destination "d"`, `route "r"`} {
		for _, body := range []string{"zzz = 1", "zzz {\n}"} {
			src := body + "\n"
			if block != "" {
				src = block + " {\n" + body + "\n}\n"
			}
			_, r := Parse("x.hcl", []byte(src), Options{})
			if err := r.Err(); err == nil || !strings.Contains(err.Error(), `"zzz"`) && !strings.Contains(reportText(t, r), `"zzz"`) {
				t.Errorf("%s: %v", src, err)
			}
		}
	}
}

func reportText(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b, 0, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestErr(t *testing.T) {
	_, r := Parse("x.hcl", []byte("zzz = 1\nyyy = 2\n"), Options{})
	var e *Error
	if err := r.Err(); !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "x.hcl line 1: ") || !strings.Contains(err.Error(), "and 1 more") {
		t.Fatalf("got %v", err)
	}
	if _, r := Parse("x.hcl", nil, Options{}); r.Err() != nil {
		t.Fatalf("an empty configuration: %v", r.Err())
	}
}
