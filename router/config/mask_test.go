package config

import (
	"strings"
	"testing"
)

// TestBrokenFilesHideSecrets: what does not parse is hidden line by line.
func TestBrokenFilesHideSecrets(t *testing.T) {
	src := `a {
  secret = "hunter2"
  secerts = "hunter2"
  tokens = [
    "hunter2",
  ]
  password = <<EOT
hunter2
EOT
  headers = { x = "hunter2" }
  url = "https://u:hunter2@example.com"
  shown = "kept"
}
`
	got := string(maskLines([]byte(src)))
	if strings.Contains(got, "hunter2") || !strings.Contains(got, `shown = "kept"`) || !strings.Contains(got, "@example.com") {
		t.Fatal(got)
	}
	if len(got) != len(src) || strings.Count(got, "\n") != strings.Count(src, "\n") {
		t.Fatal("places moved")
	}
}

// TestMaskedFiles: also whoever prints the report's files by other means shows
// no secret.
func TestMaskedFiles(t *testing.T) {
	src := `destination "d" {
  url    = "https://u:hunter2@example.com"
  secret = <<EOT
hunter2
EOT
  headers = {
    "x-key" = "hunter${lower("2")}"
  }
}
plugin "p" {
  config = { list = [{ apiKey = "hunter2" }], name = "kept" }
}
`
	_, r := Parse("x.hcl", []byte(src), Options{})
	got := string(r.Files["x.hcl"].Bytes)
	if strings.Contains(got, "hunter") || !strings.Contains(got, `name = "kept"`) || len(got) != len(src) {
		t.Fatal(got)
	}
}

func TestIsSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"secret": true, "secrets": true, "secert": true, "token": true, "previous_secrets": true, "client_secret": true,
		"x-api-key": true, "Authorization": true, "keys": true,
		"url": false, "path": false, "from": false, "events": false, "timeout": false, "to": false, "config": false,
	} {
		if isSecret(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
