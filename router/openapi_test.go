package router

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weirhq/weir/router/attempt/receiver"
	"github.com/weirhq/weir/router/config"
)

// described is what the test reads of /openapi.json.
type described struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Parameters  []struct {
			Name    string
			In      string
			Example any
		}
		RequestBody struct {
			Content map[string]struct {
				Schema  json.RawMessage
				Example json.RawMessage
			}
		} `json:"requestBody"`
		Responses map[string]struct {
			Content map[string]struct{ Schema json.RawMessage }
		}
	}
}

// Each example of the document (which router/interop lints), sent to a running router,
// is answered with the status and the schema that it says.
func TestOpenAPI(t *testing.T) {
	rec, err := receiver.Start(receiver.Options{Status: 500})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rec.Close(context.Background()) })
	dir := t.TempDir()
	hcl := fmt.Sprintf(`
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
}
plugin "redact" {
  wasm = %q
}
destination "crm" {
  url = %q
  retry {
    schedule = ["0s"]
  }
}
destination "partner" {
  url = "pull:"
}
route "pulled" {
  to = [destination.partner]
}
route "all" {
  through = [plugin.redact]
  to      = [destination.crm]
}
`, module(t, "set-all"), rec.URL())
	r := start(t, dir, hcl, Options{Stdout: &safeBuffer{}, Load: func() (*config.Config, error) { return parse(t, dir, hcl), nil }})
	defer shut(t, r)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = r.Serve(l) }()
	base := "http://" + l.Addr().String()

	status, text := exchange(t, http.MethodGet, base+"/openapi.json", "", "")
	if status != http.StatusOK {
		t.Fatal(status, string(text))
	}
	var d described
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	// The order of a user's: what later calls name is made by earlier ones.
	order := []string{"sendEvents", "sendToSource", "createWebhook", "startReplay"}
	last := []string{"deleteWebhook"}
	type example struct{ id, method, path string }
	var examples []example
	for path, item := range d.Paths {
		for method, o := range item {
			examples = append(examples, example{o.OperationID, strings.ToUpper(method), path})
		}
	}
	rank := func(e example) int {
		if i := slices.Index(order, e.id); i >= 0 {
			return i - len(order)
		}
		if slices.Contains(last, e.id) {
			return 3
		}
		switch {
		case e.method == http.MethodGet:
			return 0
		case strings.HasPrefix(e.path, "/api/deliveries/"): // before all of them are taken back
			return 1
		}
		return 2
	}
	slices.SortFunc(examples, func(a, b example) int {
		if x := rank(a) - rank(b); x != 0 {
			return x
		}
		return strings.Compare(a.path, b.path)
	})
	webhook, replay, cursor := "", "", ""
	for _, e := range examples {
		o := d.Paths[e.path][strings.ToLower(e.method)]
		url := base + e.path
		for _, p := range o.Parameters {
			value := fmt.Sprint(p.Example)
			if strings.HasPrefix(value, "wh_") {
				value = webhook
			} else if strings.HasPrefix(value, "rpl_") {
				value = replay
			}
			if p.In == "path" {
				url = strings.Replace(url, "{"+p.Name+"}", value, 1)
			} else if p.Example != nil {
				url += map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")] + p.Name + "=" + value
			}
		}
		contentType, body := "", ""
		for media, c := range o.RequestBody.Content {
			if c.Example != nil {
				contentType, body = media, strings.Replace(string(c.Example), "https://customer.example", rec.URL(), 1)
				if e.id == "acknowledge" {
					body = fmt.Sprintf(`{"cursor":%q}`, cursor)
				}
				check(t, text, e.id+"'s body", c.Schema, []byte(body))
			}
		}
		if strings.HasPrefix(e.path, "/api/deliveries/") || strings.HasPrefix(e.path, "/api/dead-letters/") {
			await(t, "the delivery to be given up or taken back", func() bool {
				_, answer := exchange(t, http.MethodGet, base+"/api/deliveries?destination=crm", "", "")
				return !bytes.Contains(answer, []byte(`"status":"waiting"`)) && !bytes.Contains(answer, []byte(`"status":"retrying"`)) &&
					!bytes.Contains(answer, []byte(`"status":"sending"`)) && bytes.Contains(answer, []byte(`"order-7"`))
			})
		}
		if strings.HasSuffix(e.path, "/explain") || e.id == "showDelivery" {
			await(t, "the event to be routed", func() bool {
				_, answer := exchange(t, http.MethodGet, base+"/api/events/order-7/explain", "", "")
				return bytes.Contains(answer, []byte(`"routed":true`))
			})
		}
		status, answer := exchange(t, e.method, url, contentType, body)
		response, ok := o.Responses[fmt.Sprint(status)]
		if !ok {
			t.Errorf("%s: %s %s answers %d, which is not what is described: %s", e.id, e.method, url, status, answer)
			continue
		}
		if c, ok := response.Content["application/json"]; ok {
			check(t, text, e.id, c.Schema, answer)
		}
		if e.id == "pull" {
			var page struct{ Next string }
			if err := json.Unmarshal(answer, &page); err != nil {
				t.Fatal(err)
			}
			cursor = page.Next
		}
		if into := map[string]*string{"createWebhook": &webhook, "startReplay": &replay}[e.id]; into != nil {
			var made struct{ ID string }
			if err := json.Unmarshal(answer, &made); err != nil {
				t.Fatal(err)
			}
			*into = made.ID
		}
	}
	if len(examples) < 20 {
		t.Errorf("only %d examples", len(examples))
	}
}

// exchange returns what is answered; of a stream its beginning.
func exchange(t *testing.T, method, url, contentType, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType == "*/*" {
		contentType = "application/json"
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return res.StatusCode, nil
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

// check holds JSON to a schema of the document.
func check(t *testing.T, document []byte, what string, schema json.RawMessage, value []byte) {
	t.Helper()
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	part, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	whole.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any)["Asked"] = part
	c := jsonschema.NewCompiler()
	if err := c.AddResource("openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("openapi.json#/components/schemas/Asked")
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	answer, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		t.Fatalf("%s: %v: %s", what, err, value)
	}
	if err := compiled.Validate(answer); err != nil {
		t.Errorf("%s: %s: %v", what, value, err)
	}
}
