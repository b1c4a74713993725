package main

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
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
	// secretOf makes one that is searched for.
	secretOf := func(name string) string {
		s := fmt.Sprintf("%s-%024d", name, len(secrets))
		secrets = append(secrets, s)
		return s
	}
	presets := map[string]string{
		"github": "", "stripe": "", "shopify": "", "slack": "", "twilio": "", "gitlab": "", "mailgun": "", "standard": "", "bearer": "",
		"basic": "\n    username = \"someone\"", "token": "\n    header = \"x-token\"",
	}
	var blocks strings.Builder
	for kind, more := range presets {
		fmt.Fprintf(&blocks, "source \"s-%s\" {\n  verify %q {\n    %s = %s%s\n  }\n}\n", kind, kind,
			map[bool]string{true: "password", false: "secrets"}[kind == "basic"],
			map[bool]string{true: fmt.Sprintf("%q", secretOf(kind)), false: fmt.Sprintf("[%q, %q]", secretOf(kind), secretOf("old-"+kind))}[kind == "basic"], more)
	}
	granted := secretOf("granted")
	grant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, granted)
	}))
	defer grant.Close()
	ed25519Key := "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	secrets = append(secrets, ed25519Key, strings.TrimPrefix(ed25519Key, "whsk_"))
	rec := startReceiver(t, receiver.Options{Status: 500})
	host := strings.TrimPrefix(rec.URL(), "http://")
	dir, address := t.TempDir(), freeAddress(t)
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf(`
server {
  listen = %q
  public_url = "https://hooks.example.com"
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
  previous_secrets = [%q]
  retry {
    schedule = ["0s", "10ms"]
  }
}
destination "basic" {
  url = %[12]q
  auth "basic" {
    username = "someone"
    password = %[13]q
  }
  sign "hmac" {
    secrets = [%[14]q]
  }
  sign "ed25519" {
    keys = [%[15]q]
  }
  retry {
    schedule = ["0s"]
  }
}
destination "bearer" {
  url = %[12]q
  auth "bearer" {
    token = %[16]q
  }
  sign "standard" {
    secrets = [%[17]q]
  }
  retry {
    schedule = ["0s"]
  }
}
destination "oauth2" {
  url = %[12]q
  auth "oauth2" {
    token_url     = %[18]q
    client_id     = "weir"
    client_secret = %[19]q
  }
  retry {
    schedule = ["0s"]
  }
}
destination "pulled" {
  url   = "pull:"
  token = %[20]q
}
route "all" {
  to = [destination.crm, destination.basic, destination.bearer, destination.oauth2, destination.pulled]
}
%[21]s`, address, token, shop, variable, sendSecret, hmacSecret, password, host, query, header, secretOf("previous"),
		rec.URL()+"/", secretOf("auth-basic"), secretOf("sign-hmac"), ed25519Key, secretOf("auth-bearer"), secretOf("sign-standard"),
		grant.URL, secretOf("client"), secretOf("pull"), blocks.String()))
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
	for kind := range presets {
		out, errOut, code := weir(t, dir, "send", "--source", "s-"+kind, "--data", `{"a":1}`)
		if code != 0 {
			t.Errorf("weir send as %s: code %d, %s%s", kind, code, out, errOut)
		}
		written.WriteString(out + errOut)
		ask("POST", "/in/s-"+kind, "{}", "Authorization", "Bearer "+token, "X-Token", token, "X-Gitlab-Token", token)
	}
	await(t, "the deliveries to be given up", func() bool {
		out, _, _ := weir(t, dir, "deliveries", "ls", "--status", "dead", "--type", "order.paid")
		return strings.Count(out, "dead") == 4
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
		"/api/deliveries", "/api/destinations/oauth2", "/api/pull/pulled", "/api/stream?kinds=none", "/ui/destinations", "/ui/configuration", "/api/plugins", "/healthz", "/readyz", "/api/destinations", "/api/webhooks", "/api/stats", "/openapi.json", "/",
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
