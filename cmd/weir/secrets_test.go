package main

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirhq/weir/router/attempt/receiver"
)

// All that is written is searched for every secret of the configuration: answers,
// problems, metrics, the configuration as it is shown, the log, what commands
// print, and the files of the store.
func TestSecretsAreWrittenNowhere(t *testing.T) {
	const (
		token, shop, hmacSecret, sendSecret = "tok-aaaaaaaaaaaaaaaaaaaa", "tok-bbbbbbbbbbbbbbbbbbbb", "hmac-cccccccccccccccccc", "whsec_ZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRk"
		header, password, query, variable   = "hdr-eeeeeeeeeeeeeeeeeeee", "pwd-ffffffffffffffffffff", "qry-gggggggggggggggggggg", "var-hhhhhhhhhhhhhhhhhhhh"
	)
	secrets := []string{token, shop, hmacSecret, sendSecret, header, password, query, variable}
	rec := startReceiver(t, receiver.Options{Status: 500})
	host := strings.TrimPrefix(rec.URL(), "http://")
	dir, address := t.TempDir(), freeAddress(t)
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf(`
server {
  listen = %q
  token  = %q
  access "shop" {
    token  = %q
    scopes = ["ingest"]
  }
}
log {
  level = "trace"
}
variable "api_token" {
  default = %q
}
locals {
  crm_secret = %q
}
source "partner" {
  verify "hmac" {
    secrets = [%q]
    header  = "x-signature"
  }
}
destination "crm" {
  url     = "http://someone:%s@%s/hooks?access_token=%s"
  secret  = local.crm_secret
  headers = { "x-api-key" = %q, "x-other" = var.api_token }
  retry {
    schedule = ["0s", "10ms"]
  }
}
route "all" {
  to = [destination.crm]
}
`, address, token, shop, variable, sendSecret, hmacSecret, password, host, query, header))
	r := serveFile(t, config, address)
	bearer := []string{"Authorization", "Bearer " + token}
	var written strings.Builder
	ask := func(method, path, body string, header ...string) {
		t.Helper()
		req, err := http.NewRequest(method, r.base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&written, "%s %s: %s %v\n%s\n", method, path, res.Status, res.Header, answer)
	}
	event := `{"event":"order.paid","event_id":"o-1","data":{"total":1}}`
	ask("POST", "/events", event, bearer...)
	ask("POST", "/events", event, "Authorization", "Bearer "+shop)
	ask("POST", "/events", event, "Authorization", "Bearer "+token+"x")
	ask("POST", "/events", event, "Authorization", "Basic "+token)
	ask("POST", "/in/partner", "{}", "X-Signature", signed(hmacSecret, "{}"), "Authorization", "Bearer "+token, "Cookie", "weir="+token)
	ask("POST", "/in/partner", "{}", "X-Signature", hmacSecret)
	ask("POST", "/api/reload", "{}", "Authorization", "Bearer "+shop)
	ask("GET", "/api/nothing", "", bearer...)
	await(t, "the delivery to be given up", func() bool {
		out, _, _ := weir(t, dir, "deliveries", "ls", "--status", "dead")
		return strings.Contains(out, "dead")
	})
	// A reload that is refused tells why, with the line.
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	for i, broken := range []string{
		strings.Replace(string(b), `access "shop"`, "access \"shop\" {\n    token = \""+shop+"\"\n    scopes = [\"read\"]\n  }\n  access \"copy\"", 1),
		strings.Replace(string(b), "secret  = local.crm_secret", "secret  = parseint(local.crm_secret, 10)", 1),
		strings.Replace(string(b), "secret  = local.crm_secret", "secert  = \""+sendSecret+"\"", 1),
		string(b) + "\nroute \"x\" {\n  when = event.data.x == var.api_token\n  to = []\n}\n",
		string(b) + "\nbroken = [",
	} {
		writeFile(t, dir, "router.hcl", broken)
		ask("POST", "/api/reload", "{}", bearer...)
		if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		await(t, "the signal to be obeyed", func() bool { return strings.Count(r.log.String(), "reload refused") > i })
		for _, args := range [][]string{{"validate"}, {"validate", "--json"}, {"doctor"}} {
			out, errOut, _ := weir(t, dir, args...)
			written.WriteString(out + errOut)
		}
	}
	writeFile(t, dir, "router.hcl", string(b))
	for _, path := range []string{
		"/api/config", "/metrics", "/api/events", "/api/events/o-1", "/api/events/o-1/explain", "/api/events/o-1/deliveries",
		"/api/deliveries", "/api/plugins", "/healthz", "/readyz", "/api/destinations", "/api/webhooks", "/api/stats", "/openapi.json", "/",
	} {
		ask("GET", path, "", bearer...)
		ask("GET", path, "")
	}
	for _, args := range [][]string{{"events", "show", "o-1"}, {"explain", "o-1"}, {"deliveries", "ls", "-o", "json"}, {"doctor"}, {"reload"}, {"--help"}} {
		out, errOut, _ := weirEnv(t, dir, []string{"WEIR_TOKEN=" + token}, args...)
		written.WriteString(out + errOut)
	}
	r.stop(t)
	text := written.String() + r.log.String()
	for _, want := range []string{`"last_reload":{"time":`, `"result":"refused"`, "weir_config_last_reload_success 0", `"text":"`, "x-api-key", "order.paid"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing of %s is there, so it was not looked at", want)
		}
	}
	files := 0
	if err := filepath.WalkDir(filepath.Join(dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		text += string(b)
		return err
	}); err != nil || files == 0 {
		t.Fatal(files, err)
	}
	for _, s := range secrets {
		if i := strings.Index(text, s); i >= 0 {
			t.Errorf("%s is written: …%q…", s, text[max(0, i-200):min(len(text), i+60)])
		}
	}
}
