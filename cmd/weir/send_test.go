package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/source/verify"
)

// gateway stands for a router: it answers all requests alike and keeps the last
// one.
type gateway struct {
	url    string
	status int
	answer string
	path   string
	query  string
	header http.Header
	body   string
}

func newGateway(t *testing.T, status int, answer string) *gateway {
	t.Helper()
	g := &gateway{status: status, answer: answer}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		g.path, g.query, g.header, g.body = r.URL.Path, r.URL.RawQuery, r.Header, string(body)
		w.WriteHeader(g.status)
		io.WriteString(w, g.answer)
	}))
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// runSend runs the command with no configuration but what config gives.
func runSend(t *testing.T, g *globals, stdin string, args ...string) (string, error) {
	t.Helper()
	if g.config == "" {
		g.config = filepath.Join(t.TempDir(), "none.hcl")
	}
	var out bytes.Buffer
	c := newSend(g)
	c.SilenceUsage, c.SilenceErrors = true, true
	c.SetArgs(args)
	c.SetIn(strings.NewReader(stdin))
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

const accepted = `{"event_id":"evt_1","status":"accepted"}`

const sendConfig = `
source "github" {
  verify "github" {
    secrets = ["It's a Secret to Everybody"]
  }
  type = "github.${header["x-github-event"]}"
  id   = header["x-github-delivery"]
}
source "shop" {
  path = "/hooks/shop"
  verify "hmac" {
    secrets  = ["first", "second"]
    header   = "X-Shop-Signature"
    encoding = "base64"
  }
}
source "plain" {
}
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "router.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSendNative(t *testing.T) {
	gw := newGateway(t, 202, accepted)
	out, err := runSend(t, &globals{server: gw.url}, "",
		"--type", "order.created", "--data", ` {"total": 1.0} `, "--id", "A-1", "--subject", "s/1", "--tenant", "acme", "--header", "X-Extra=a=b")
	if err != nil || out != "evt_1 accepted\n" {
		t.Fatalf("printed %q, %v", out, err)
	}
	if gw.path != "/events" || gw.body != `{"event":"order.created","event_id":"A-1","subject":"s/1","tenant":"acme","data":{"total": 1.0}}` {
		t.Errorf("sent %s to %s", gw.body, gw.path)
	}
	if gw.header.Get("Content-Type") != "application/json" || gw.header.Get("X-Extra") != "a=b" {
		t.Errorf("headers are %v", gw.header)
	}
}

// An id that was taken with other data is a fault of the producer's, and is said.
func TestSendDuplicateThatDiffers(t *testing.T) {
	for answer, want := range map[string]string{
		`{"event_id":"A-1","status":"duplicate"}`:                "A-1 duplicate\n",
		`{"event_id":"A-1","status":"duplicate","differs":true}`: "A-1 duplicate, and differs from the first of that id, which is kept\n",
	} {
		gw := newGateway(t, 202, answer)
		if out, err := runSend(t, &globals{server: gw.url}, "", "--id", "A-1"); err != nil || out != want {
			t.Errorf("%s is printed as %q, %v", answer, out, err)
		}
	}
}

func TestSendData(t *testing.T) {
	gw := newGateway(t, 202, accepted)
	file := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(file, []byte(`{"from":"file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for data, want := range map[string]string{
		"":         `{"event":"test","data":{}}`,
		"@" + file: `{"event":"test","data":{"from":"file"}}`,
		"-":        `{"event":"test","data":["stdin"]}`,
	} {
		var args []string
		if data != "" {
			args = []string{"--data", data}
		}
		if out, err := runSend(t, &globals{server: gw.url}, `["stdin"]`, args...); err != nil || gw.body != want {
			t.Errorf("%q: sent %s, printed %q, %v", data, gw.body, out, err)
		}
	}
}

// With a configuration a source is sent to as its provider would: path, headers
// and signature.
func TestSendAsProvider(t *testing.T) {
	gw := newGateway(t, 202, accepted)
	g := &globals{server: gw.url, config: writeConfig(t, sendConfig)}

	if out, err := runSend(t, g, "", "--source", "github", "--type", "push", "--data", "Hello, World!"); err != nil {
		t.Fatal(out, err)
	}
	const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	if gw.path != "/in/github" || gw.body != "Hello, World!" || gw.header.Get("X-Hub-Signature-256") != signature ||
		gw.header.Get("X-GitHub-Event") != "push" || len(gw.header.Get("X-GitHub-Delivery")) != 36 {
		t.Errorf("sent %q to %s with %v", gw.body, gw.path, gw.header)
	}

	if out, err := runSend(t, g, "", "--source", "shop", "--data", `{"a":1}`); err != nil {
		t.Fatal(out, err)
	}
	scheme, err := verify.New("hmac", verify.Options{Secrets: []string{"first"}, Header: "x-shop-signature", Encoding: "base64"})
	if err != nil {
		t.Fatal(err)
	}
	if p := scheme.Verify(&verify.Request{
		Header: []event.Field{{Name: "x-shop-signature", Value: gw.header.Get("X-Shop-Signature")}}, Body: []byte(gw.body),
	}); p != nil || gw.path != "/hooks/shop" || gw.header.Get("Content-Type") != "application/json" {
		t.Errorf("sent to %s with %v: %v", gw.path, gw.header, p)
	}

	if out, err := runSend(t, g, "", "--source", "plain", "--data", "text"); err != nil || gw.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v, %v, %v", out, err, gw.header)
	}
}

// Without a configuration the flags are enough.
func TestSendSignedByFlags(t *testing.T) {
	gw := newGateway(t, 202, accepted)
	out, err := runSend(t, &globals{server: gw.url}, "", "--source", "gh", "--sign", "github",
		"--secret", "It's a Secret to Everybody", "--data", "Hello, World!", "--id", "my-id")
	if err != nil {
		t.Fatal(out, err)
	}
	if got := gw.header.Get("X-Hub-Signature-256"); got != "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" {
		t.Errorf("signed %s", got)
	}
	if gw.path != "/in/gh" || gw.header.Get("X-GitHub-Event") != "ping" || gw.header.Get("X-GitHub-Delivery") != "my-id" {
		t.Errorf("sent to %s with %v", gw.path, gw.header)
	}
}

func TestSendRefused(t *testing.T) {
	gw := newGateway(t, 400, `{"type":"about:blank","status":400,"code":"bad_id","detail":"event_id must be so"}`)
	out, err := runSend(t, &globals{server: gw.url}, "", "--id", "a/b")
	if exitCode(err) != 1 || !strings.Contains(err.Error(), "bad_id") || !strings.Contains(err.Error(), "must be so") || out != "" {
		t.Errorf("printed %q, %v", out, err)
	}
	out, err = runSend(t, &globals{server: gw.url, output: "json"}, "")
	if exitCode(err) != 1 || !silent(err) || out != gw.answer+"\n" {
		t.Errorf("as JSON: printed %q, %v", out, err)
	}
	gw.status, gw.answer = 502, "<html>"
	if _, err = runSend(t, &globals{server: gw.url}, ""); exitCode(err) != 1 || !strings.Contains(err.Error(), "502") {
		t.Errorf("no problem: %v", err)
	}
	gw.status, gw.answer = 200, ""
	if out, err = runSend(t, &globals{server: gw.url}, ""); err != nil || !strings.Contains(out, "200 OK") {
		t.Errorf("an empty answer: printed %q, %v", out, err)
	}
	if _, err = runSend(t, &globals{server: "http://127.0.0.1:1"}, ""); exitCode(err) != 1 || !strings.Contains(err.Error(), "running") {
		t.Errorf("no router: %v", err)
	}
}

func TestSendWrongUsage(t *testing.T) {
	gw := newGateway(t, 202, accepted)
	config := writeConfig(t, sendConfig)
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"data that is no JSON":       {[]string{"--data", "{"}, 2, "not JSON"},
		"a header without a value":   {[]string{"--header", "x-a"}, 2, "name=value"},
		"a type that can't be given": {[]string{"--source", "shop", "--type", "a"}, 2, "finds the type"},
		"a subject":                  {[]string{"--source", "github", "--subject", "a"}, 2, "subject"},
		"a tenant":                   {[]string{"--source", "github", "--tenant", "a"}, 2, "tenant"},
		"a secret for nothing":       {[]string{"--source", "plain", "--secret", "a"}, 2, "add --sign"},
		"a scheme without a secret":  {[]string{"--source", "plain", "--sign", "github"}, 2, "needs --secret"},
		"a scheme that is none":      {[]string{"--source", "plain", "--sign", "gitub", "--secret", "a"}, 2, "not known"},
		"no such source":             {[]string{"--source", "nobody"}, 1, `no source "nobody"`},
		"no such file":               {[]string{"--data", "@/nowhere"}, 1, "--data"},
	} {
		gw.path = ""
		_, err := runSend(t, &globals{server: gw.url, config: config}, "", tt.args...)
		if err == nil || exitCode(err) != tt.code || !strings.Contains(err.Error(), tt.want) || gw.path != "" {
			t.Errorf("%s: code %d, %v, sent to %q", name, exitCode(err), err, gw.path)
		}
	}
}

func TestSendWithABrokenConfiguration(t *testing.T) {
	gw := newGateway(t, 202, accepted)
	broken := writeConfig(t, `source "github" {`)
	if _, err := runSend(t, &globals{config: broken}, ""); err == nil || !strings.Contains(err.Error(), "--server") {
		t.Errorf("no address: %v", err)
	}
	if _, err := runSend(t, &globals{config: broken, server: gw.url}, "", "--sign", "github"); err == nil || !strings.Contains(err.Error(), "--secret") {
		t.Errorf("no secret: %v", err)
	}
	if out, err := runSend(t, &globals{config: broken, server: gw.url}, ""); err != nil {
		t.Errorf("nothing needed from it: %q, %v", out, err)
	}
}

func TestSendAddressFromConfiguration(t *testing.T) {
	gw := newGateway(t, 202, accepted)
	config := writeConfig(t, "server {\n  listen = \""+strings.TrimPrefix(gw.url, "http://")+"\"\n}\n")
	if out, err := runSend(t, &globals{config: config}, ""); err != nil || out != "evt_1 accepted\n" {
		t.Errorf("printed %q, %v", out, err)
	}
	var e *exitError
	if _, err := runSend(t, &globals{config: config}, "", "--nonsense"); err == nil || errors.As(err, &e) {
		t.Errorf("an unknown flag: %v", err) // the root command gives it code 2
	}
}

// All that does not fit a schema is said, not the first of it alone.
func TestSendSaysAllThatDoesNotFit(t *testing.T) {
	gw := newGateway(t, 422, `{"code":"schema","detail":"the data at \"/a\" does not fit","status":422,"pointer":"/a",
		"errors":[{"pointer":"/a","message":"got number, want string"},{"pointer":"","message":"missing property 'b'"}]}`)
	const want = `refused with 422 schema: the data at "/a" does not fit
all that does not fit:
  /a: got number, want string
  the data: missing property 'b'`
	if _, err := runSend(t, &globals{server: gw.url}, "", "--data", "{}"); err == nil || err.Error() != want {
		t.Errorf("said\n%v\nwant\n%s", err, want)
	}
	gw.answer = `{"code":"schema","detail":"the data does not fit","status":422,"errors":[{"pointer":"","message":"x"}]}`
	if _, err := runSend(t, &globals{server: gw.url}, "", "--data", "{}"); err == nil || err.Error() != "refused with 422 schema: the data does not fit" {
		t.Errorf("said %v", err)
	}
}
