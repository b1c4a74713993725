package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestPublicURL(t *testing.T) {
	for given, want := range map[string]string{
		"https://hooks.example.com":        "https://hooks.example.com",
		"https://hooks.example.com/":       "https://hooks.example.com",
		"http://localhost:8080/weir/":      "http://localhost:8080/weir",
		"https://user:pw@example.com":      "",
		"https://example.com/?a=1":         "",
		"https://example.com?":             "",
		"https://example.com/#x":           "",
		"https://example.com/#":            "",
		"https://example.com:70000":        "",
		"ftp://example.com":                "",
		"hooks.example.com":                "",
		"https:///x":                       "",
		"https://exa mple.com":             "",
		"//example.com":                    "",
		"https://[fe80::1%25eth0]:1/hooks": "https://[fe80::1%25eth0]:1/hooks",
	} {
		c, r := Parse("x.hcl", []byte(fmt.Sprintf("server {\n  public_url = %q\n}\n", given)), Options{})
		switch {
		case want == "" && c != nil:
			t.Errorf("%s was taken as %s", given, c.Server.PublicURL)
		case want != "" && (c == nil || c.Server.PublicURL != want):
			t.Errorf("%s was not taken: %v", given, r.Err())
		}
	}
}

func TestKeys(t *testing.T) {
	c, r := Parse("x.hcl", []byte(`
server {
  listen = "192.0.2.1:8080"
  token  = env("SET")
  access "shop" {
    token  = "another-secret-value"
    scopes = ["ingest", "read"]
  }
}
`), Options{LookupEnv: environment})
	if c == nil {
		t.Fatal(reportText(t, r))
	}
	want := []Key{{Token: "s3cret-value", Scopes: Scopes()}, {Name: "shop", Token: "another-secret-value", Scopes: []Scope{ScopeIngest, ScopeRead}}}
	if !reflect.DeepEqual(c.Server.Keys, want) || c.Server.Open() || !c.Server.Exposed() {
		t.Errorf("%d keys, open %v", len(c.Server.Keys), c.Server.Open())
	}
	if shown := fmt.Sprintf("%v %+v %#v", c.Server, c.Server, c.Server.Keys); strings.Contains(shown, "secret-value") {
		t.Error("a token is shown")
	}
	// Who only asks a router may not have its token.
	c, r = Parse("x.hcl", []byte("server {\n  listen = \":8080\"\n  token = env(\"UNSET\")\n}\n"), Options{LookupEnv: environment, ToAsk: true})
	if c == nil || len(c.Server.Keys) != 0 {
		t.Errorf("to ask: %v", r.Err())
	}
}

func TestExposed(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:1": false, "localhost:1": false, "[::1]:1": false, "127.9.9.9:1": false,
		"[::ffff:127.0.0.1]:1": false,
		":1":                   true, "0.0.0.0:1": true, "[::]:1": true, "10.0.0.1:1": true, "example.com:1": true, "localhost.:1": true,
	} {
		if s := (Server{Listen: listen}); s.Exposed() != want {
			t.Errorf("%s: exposed %v", listen, !want)
		}
	}
}
