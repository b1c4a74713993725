package config

import (
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A destination's configuration may set what a plugin may, and authorization.
func TestDestinationHeaders(t *testing.T) {
	for name, want := range map[string]string{
		"x-team": "", "Authorization": "", "accept": "", "idempotency-key": "",
		"Host": "Reserved header", "content-type": "Reserved header", "te": "Reserved header", "webhook-id": "Reserved header",
		"X-Webhook-Any": "Reserved header", "proxy-authorization": "Reserved header", "proxy-x": "Reserved header",
		"x team": "Invalid header", "": "Invalid header",
	} {
		c, r := Parse("x.hcl", fmt.Appendf(nil, "destination \"d\" {\n  url = \"stdout:\"\n  headers = { %q = \"v\" }\n}\n", name), Options{})
		if want != "" {
			if !r.HasErrors() || !strings.Contains(reportText(t, r), want) {
				t.Errorf("%q: %v, want %s", name, r.Err(), want)
			}
			continue
		}
		if r.HasErrors() {
			t.Errorf("%q: %v", name, r.Err())
			continue
		}
		if h := c.Destination("d").Headers; len(h) != 1 || h[0].Name != strings.ToLower(name) || h[0].Value != "v" {
			t.Errorf("%q: got %v", name, h)
		}
	}
}

// The configuration is below what it configures.
func TestImportsPointDown(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			room, ours := strings.CutPrefix(path, "github.com/weirhq/weir/router/")
			switch room {
			case "event", "expr", "rawjson", "sign", "config", "source/verify":
			default:
				if ours {
					t.Errorf("%s imports %s", name, path)
				}
			}
		}
	}
}
