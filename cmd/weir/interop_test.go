package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
)

// A delivery of the program is verified by other people's code: the npm packages
// standardwebhooks and, for X-Webhook-Signature, which is GitHub's scheme under
// another name, @octokit/webhooks-methods.
func TestDeliveryVerifiesElsewhere(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	type arrival struct {
		header http.Header
		body   string
	}
	arrived := make(chan arrival, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		arrived <- arrival{r.Header, string(body)}
	}))
	defer server.Close()
	r, _ := configured(t, fmt.Sprintf("destination \"out\" {\n  url = %q\n  secret = %q\n}\nroute \"all\" {\n  to = [destination.out]\n}\n", server.URL, secret))
	post(t, r.base+"/events", `{"event":"order.paid","data":{"total": 1.0, "name":"Zoë"}}`)
	a := <-arrived
	headers := map[string]string{}
	for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		headers[name] = a.header.Get(name)
	}
	questions := []map[string]any{
		{"ask": "standardVerify", "secret": secret, "body": a.body, "headers": headers},
		{"ask": "standardVerify", "secret": secret, "body": a.body + " ", "headers": headers},
		{"ask": "githubVerify", "secret": secret, "body": a.body, "signature": a.header.Get("X-Webhook-Signature")},
		{"ask": "githubVerify", "secret": secret + "x", "body": a.body, "signature": a.header.Get("X-Webhook-Signature")},
	}
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", "interop.mjs")
	node.Dir, node.Stdin = "../../router/interop", bytes.NewReader(input)
	out, err := node.CombinedOutput()
	if err != nil {
		t.Fatalf("node (run make deps first): %v\n%s", err, out)
	}
	var answers []struct{ OK bool }
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, want := range []bool{true, false, true, false} {
		if answers[i].OK != want {
			t.Errorf("question %d was answered %v, want %v: %s", i, answers[i].OK, want, out)
		}
	}
	if !strings.HasPrefix(a.header.Get("User-Agent"), "Weir/") || a.header.Get("X-Webhook-Event") != "order.paid" || a.header.Get("X-Webhook-Attempt") != "1" {
		t.Errorf("headers %v", a.header)
	}
}
