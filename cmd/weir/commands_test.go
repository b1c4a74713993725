package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "bad.hcl", "route \"r\" {\n  form = []\n}\n")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"version", 0, "plugin ABI 1"},
		{"version -o json", 0, `"plugin_abi": 1`},
		{"version -o yaml", 2, "text or json"},
		{"completion bash", 0, "weir"},
		{"", 0, "deliveries"},
		{"evnts", 2, "did you mean events?"},
		{"events sl", 2, `no command "sl"`},
		{"events show", 2, "accepts 1 arg"},
		{"events ls --colour red", 2, "unknown flag"},
		{"events ls --since yesterday", 2, "neither a time"},
		{"events ls --limit 0", 2, "at least 1"},
		{"deliveries ls --status dad", 2, "waiting, sending, retrying"},
		{"events ls", 1, "router.hcl"},
		{"events ls -c bad.hcl", 1, `Did you mean "from"?`},
		{"events ls --server http://127.0.0.1:1", 1, "is the router running?"},
		{"serve -c bad.hcl", 1, `Did you mean "from"?`},
		{"deliveries retry", 2, "name deliveries"},
		{"events retry", 2, "at least 1 arg"},
		{"plan", 2, "weir plan is not supported yet"},
		{"test", 2, "weir test is not supported yet"},
		{"console", 2, "weir console is not supported yet"},
		{"graph --dot", 2, "weir graph is not supported yet"},
		{"bench --rate 5", 2, "weir bench is not supported yet"},
		{"send -o yaml", 2, "text or json"},
		{"fmt -o yaml", 2, "text or json"},
		{"webhooks create", 2, "webhooks create URL"},
		{"webhooks create http://a.example --url http://b.example", 2, "webhooks create URL"},
	} {
		out, errOut, code := weir(t, dir, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errOut, c.want) {
			t.Errorf("weir %s: code %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, out, errOut)
		}
	}
}

func TestNoStoreYet(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "router.hcl", fmt.Sprintf("server {\n  listen = %q\n}\n", freeAddress(t)))
	_, errOut, code := weir(t, dir, "events", "ls")
	if code != 1 || !strings.Contains(errOut, "weir serve") {
		t.Errorf("code %d: %s", code, errOut)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("asking made a store")
	}
}

// A second router finds the address or the store taken, says so, and does no
// harm to the first.
func TestSecondRouter(t *testing.T) {
	r, config := configured(t, "")
	dir := filepath.Dir(config)
	if _, errOut, code := weir(t, dir, "serve"); code != 1 || !strings.Contains(errOut, "address already in use") || !strings.Contains(errOut, "server.listen") {
		t.Errorf("the same address: code %d: %s", code, errOut)
	}
	writeFile(t, dir, "other.hcl", fmt.Sprintf("server {\n  listen = %q\n}\n", freeAddress(t)))
	if _, errOut, code := weir(t, dir, "serve", "-c", "other.hcl"); code != 1 || !strings.Contains(errOut, "used by another process") {
		t.Errorf("the same store: code %d: %s", code, errOut)
	}
	if status, _ := post(t, r.base+"/events", `{"event":"x","data":1}`); status != 202 {
		t.Errorf("the first router answers %d afterwards", status)
	}
	r.stop(t)
}

func TestLogsAsJSON(t *testing.T) {
	r, _ := configured(t, "log {\n  level = \"info\"\n  json  = true\n}\n")
	await(t, "it to say that it is ready", func() bool { return strings.Contains(r.log.String(), `"@message":"ready"`) })
	for line := range strings.Lines(r.log.String()) {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("a line is %s", line)
		}
	}
}

// A producer that is slow with its request holds only its own connection.
func TestSlowProducer(t *testing.T) {
	r, _ := configured(t, "")
	for range 50 {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")); err != nil {
			t.Fatal(err)
		}
	}
	client := &http.Client{Timeout: 30 * time.Second}
	res, err := client.Post(r.base+"/events", "application/json", strings.NewReader(`{"event":"x","data":1}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 202 {
		t.Errorf("answered %d", res.StatusCode)
	}
}
