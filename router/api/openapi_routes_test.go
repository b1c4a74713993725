package api

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// What the server answers and what its document describes are the same calls.
func TestEveryRouteIsDescribed(t *testing.T) {
	b, err := document()
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(b, &d); err != nil || !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Fatal(d.OpenAPI, err)
	}
	described := map[string]bool{}
	for path, item := range d.Paths {
		for method := range item {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	e := newRefusing(t)
	param := regexp.MustCompile(`:(\w+)`)
	seen := map[string]bool{"POST /events": true, "POST /in/{source}": true} // looked up by their path
	for _, r := range New(e, Options{MaxBody: 1 << 20}).GetRoutes(true) {
		path := param.ReplaceAllString(r.Path, "{$1}")
		if r.Method == "HEAD" || strings.HasPrefix(path, "/in/") {
			continue
		}
		call := r.Method + " " + path
		seen[call] = true
		if !described[call] {
			t.Errorf("%s is not described: add it to operations() in openapi.go", call)
		}
	}
	for call := range described {
		if !seen[call] {
			t.Errorf("%s is described, and there is no such call", call)
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d calls", len(seen))
	}
	ids := map[string]bool{}
	for _, o := range operations() {
		if ids[o.id] || o.id == "" || o.summary == "" {
			t.Errorf("%s %s: the id %q is empty or taken, or there is no summary", o.method, o.path, o.id)
		}
		ids[o.id] = true
		for _, name := range o.query {
			if parameters[name] == "" {
				t.Errorf("%s %s: the parameter %s is not described", o.method, o.path, name)
			}
		}
	}
}
