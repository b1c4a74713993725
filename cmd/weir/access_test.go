package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const guarded = `
server {
  listen = %q
  token  = env("ROUTER_TOKEN", "")
  access "shop" {
    token  = "the-token-of-the-shop"
    scopes = ["ingest"]
  }
}
source "raw" {}
source "github" {
  verify "github" {
    secrets = ["It's a Secret to Everybody"]
  }
}
destination "out" {
  url = "stdout:"
}
route "all" {
  to = [destination.out]
}
`

const ownToken = "the-token-of-the-router"

func guardedRouter(t *testing.T) (*running, string) {
	t.Helper()
	address := freeAddress(t)
	config := writeFile(t, t.TempDir(), "router.hcl", fmt.Sprintf(guarded, address))
	return serveFile(t, config, address, "ROUTER_TOKEN="+ownToken), config
}

// Every command that speaks to a router sends the token: that of the flag, of
// the environment, or of the configuration that the router runs by.
func TestCommandsSendTheToken(t *testing.T) {
	r, config := guardedRouter(t)
	dir := filepath.Dir(config)
	body := `{"event":"order.paid","event_id":"o-1","data":1}`
	if status, answer := post(t, r.base+"/events", body); status != 401 || answer["code"] != "token_missing" {
		t.Errorf("without a token: %d %v", status, answer)
	}
	if status, answer := post(t, r.base+"/events", body, "Authorization", "Bearer the-token-of-the-shop", "Host", "hooks.example.com", "Origin", "https://shop.example"); status != 202 {
		t.Errorf("with a token, by another name: %d %v", status, answer)
	}
	if status, answer := post(t, r.base+"/api/reload", "{}", "Authorization", "Bearer the-token-of-the-shop"); status != 403 || answer["code"] != "scope_missing" {
		t.Errorf("with another scope: %d %v", status, answer)
	}
	if status, answer := post(t, r.base+"/in/github", "{}", "X-Hub-Signature-256", "sha256="+signed("It's a Secret to Everybody", "{}")); status != 202 {
		t.Errorf("a signed request needs no token: %d %v", status, answer)
	}
	commands := [][]string{
		{"events", "ls"}, {"events", "show", "o-1"}, {"deliveries", "ls"}, {"explain", "o-1"}, {"reload"}, {"send"}, {"send", "--source", "raw"},
	}
	for _, args := range commands {
		name := strings.Join(args, " ")
		if out, _, code := weir(t, dir, append(args, "--server", r.base)...); code != 1 {
			t.Errorf("%s without a token: code %d\n%s", name, code, out)
		}
		if _, errOut, code := weir(t, dir, append(args, "--server", r.base, "--token", ownToken)...); code != 0 {
			t.Errorf("%s with --token: code %d\n%s", name, code, errOut)
		}
		if _, errOut, code := weirEnv(t, dir, []string{"WEIR_TOKEN=" + ownToken}, append(args, "--server", r.base)...); code != 0 {
			t.Errorf("%s with WEIR_TOKEN: code %d\n%s", name, code, errOut)
		}
		if _, errOut, code := weirEnv(t, dir, []string{"ROUTER_TOKEN=" + ownToken}, args...); code != 0 {
			t.Errorf("%s by the configuration: code %d\n%s", name, code, errOut)
		}
	}
	if out, _, _ := weirEnv(t, dir, []string{"WEIR_TOKEN=" + ownToken}, "--help"); strings.Contains(out, ownToken) {
		t.Error("help shows the token")
	}
	if out, errOut, code := weirEnv(t, dir, []string{"WEIR_TOKEN=" + ownToken, "ROUTER_TOKEN="}, "doctor"); !strings.Contains(out, "is ready") {
		t.Errorf("doctor: code %d\n%s%s", code, out, errOut)
	}
	r.stop(t)
	// No router runs: who may read the store's files needs no token.
	if _, errOut, code := weir(t, dir, "events", "show", "o-1"); code != 0 {
		t.Errorf("from the store: code %d\n%s", code, errOut)
	}
	if log := r.log.String(); strings.Contains(log, "the-token-of") {
		t.Error("the log shows a token")
	}
}

// Tokens change with a reload.
func TestReloadOfTokens(t *testing.T) {
	r, config := guardedRouter(t)
	dir := filepath.Dir(config)
	rewrite(t, config, "the-token-of-the-shop", "the-next-token-of-the-shop")
	out, errOut, code := weir(t, dir, "reload", "--token", ownToken)
	if code != 0 || !line(out, "server", "applied") {
		t.Fatalf("code %d\n%s%s", code, out, errOut)
	}
	for token, want := range map[string]int{"the-token-of-the-shop": 401, "the-next-token-of-the-shop": 202, ownToken: 202} {
		if status, answer := post(t, r.base+"/events", `{"event":"x","data":1}`, "Authorization", "Bearer "+token); status != want {
			t.Errorf("%s: %d %v", token, status, answer)
		}
	}
}

// Others reach this address, so a router without a token does not start on it.
func TestNoStartWithoutToken(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "router.hcl", "server {\n  listen = \"0.0.0.0:0\"\n  token = env(\"WEIR_TOKEN\", \"\")\n}\n")
	for _, args := range [][]string{{"validate"}, {"serve"}} {
		out, errOut, code := weirEnv(t, dir, []string{"WEIR_TOKEN="}, args...)
		if code != 1 || !strings.Contains(out+errOut, "needs a token") {
			t.Errorf("weir %v: code %d\n%s%s", args, code, out, errOut)
		}
	}
}
