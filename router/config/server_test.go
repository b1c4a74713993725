package config

import (
	"fmt"
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
