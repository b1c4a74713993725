package dashboard_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/dashboard"
)

// shots is where pictures of the pages go, for the documentation and for whoever
// wants to look: go test ./router/dashboard -run Browser -shots /tmp/shots
var shots = flag.String("shots", "", "folder for pictures of the pages")

// pictures is where those go that the documentation shows: make screenshots.
var pictures = flag.String("pictures", "", "folder for the documentation's pictures of the pages")

// chromium finds the browser, which is needed: a page that nobody has looked at is
// not tested.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("the browser Chromium is not installed (Debian: apt install chromium)")
	return ""
}

// seen is what walk.mjs says.
type seen struct {
	Violations, Console, Foreign, Wide, Story []string
	Error                                     string
}

func walk(t *testing.T, plan map[string]any) seen {
	t.Helper()
	plan["chromium"], plan["shots"], plan["pictures"] = chromium(t), *shots, *pictures
	input, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", "walk.mjs")
	node.Dir = "browser"
	node.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	node.Stdout, node.Stderr = &stdout, &stderr
	if err := node.Run(); err != nil {
		t.Fatalf("node walk.mjs (make deps installs what it needs): %v\n%s", err, stderr.String())
	}
	var s seen
	if err := json.Unmarshal(stdout.Bytes(), &s); err != nil {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	return s
}

func (s *seen) judge(t *testing.T, steps int) {
	t.Helper()
	for what, list := range map[string][]string{
		"not accessible": s.Violations, "on the console": s.Console, "asked elsewhere": s.Foreign, "too wide": s.Wide,
	} {
		for _, text := range list {
			t.Errorf("%s: %s", what, text)
		}
	}
	if s.Error != "" || len(s.Story) != steps {
		t.Errorf("the story ended after %d of %d steps (%s): %s", len(s.Story), steps, strings.Join(s.Story, "; "), s.Error)
	}
}

// A webhook is registered, a receiver breaks, which shows without a reload; it is
// repaired, what was lost is sent again and what was stored is replayed, from the
// pages alone. Every page is accessible in light and dark, at 390 and 1280 px.
func TestBrowser(t *testing.T) {
	wasm, err := filepath.Abs("../../examples/plugins/github-slack/github-slack.wasm")
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, withTokens+fmt.Sprintf(`
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
}
plugin "slack" {
  wasm = %q
}
`, wasm))
	for i := range 20 {
		d.publish(fmt.Sprint("user-", i), []string{"user.created", "invoice.sent"}[i%2], fmt.Sprintf(`{"user": "u%d", "total": %d}`, i, i*7))
	}
	d.publish("first", "order.paid", `{"total": 120, "customer": {"email": "ada@example.com"}}`)
	d.publish("small", "order.paid", `{"total": 80}`)
	stage := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/break":
			d.broken.Store(true)
			d.publish("second", "order.paid", `{"total": 999}`)
		case "/more":
			d.publish("third", "user.created", `{"name": "grace"}`)
		case "/pause", "/resume":
			req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, d.base+"/api/destinations/archive"+r.URL.Path, strings.NewReader("{}"))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer all-of-it-0123456789")
			req.Header.Set("Content-Type", "application/json")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
		case "/mend":
			d.broken.Store(false)
		}
	}))
	defer stage.Close()
	type step map[string]string
	story := []step{
		{"do": "open", "path": "/"},
		{"do": "see", "what": ".done", "text": "All destinations work."},
		{"do": "see", "what": "#live", "text": "live"},
		// A webhook is registered.
		{"do": "open", "path": "/ui/webhooks"},
		{"do": "click", "what": "details summary"},
		{"do": "type", "what": "[name=url]", "text": d.receiver},
		{"do": "type", "what": "[name=events]", "text": "order.*"},
		{"do": "click", "what": "form.stacked button"},
		{"do": "see", "what": "h1", "text": "Registered"},
		{"do": "click", "what": "main .button"},
		{"do": "see", "what": "h1 .badge", "text": "active"},
		{"do": "look"}, // a webhook
		{"do": "see", "what": "#live", "text": "live"},
		// Its receiver breaks, and that of crm.
		{"do": "tell", "url": stage.URL + "/break"},
		{"do": "see", "what": "h1 .badge", "text": "failing"},
		{"do": "open", "path": "/"},
		{"do": "see", "what": ".alarm", "text": "answered 503", "picture": "overview"},
		{"do": "click", "what": ".alarm a[href$='/crm']"},
		{"do": "see", "what": "h1", "text": "crm"},
		{"do": "see", "what": "tbody td", "text": "answered 503"},
		// They are repaired, and what was lost is sent again.
		{"do": "tell", "url": stage.URL + "/mend"},
		{"do": "type", "what": "#find", "text": "second"},
		{"do": "press", "text": "Enter"},
		{"do": "see", "what": "h1", "text": "second", "picture": "event"},
		{"do": "click", "what": "form[action$='/retry'] button"},
		{"do": "see", "what": ".done", "text": "due now"},
		{"do": "see", "what": ".delivery .badge.good", "text": "delivered"},
		{"do": "open", "path": "/ui/deliveries?status=retrying"},
		{"do": "click", "what": "#list a"},
		{"do": "click", "what": "form[action$='/retry'] button"},
		{"do": "see", "what": "h1 .badge", "text": "delivered"},
		{"do": "look"}, // a delivery
		{"do": "open", "path": "/"},
		{"do": "see", "what": ".done", "text": "All destinations work."},
		{"do": "open", "path": "/ui/dead-letters"},
		{"do": "see", "what": ".empty", "text": "None."},
		// Whoever stands in a list does not lose their place by what comes.
		{"do": "open", "path": "/ui/events"},
		{"do": "see", "what": "#live", "text": "live"},
		{"do": "focus", "what": "#list a[href*=small]"},
		{"do": "tell", "url": stage.URL + "/more"},
		{"do": "see", "what": "#live", "text": "1 new, shown when you leave the list"},
		{"do": "see", "what": "#list a:focus", "text": "small"},
		{"do": "press", "text": "Control+k"},
		{"do": "see", "what": "#list a", "text": "third"},
		// Nor does a button become another one under the pointer.
		{"do": "open", "path": "/ui/destinations/archive"},
		{"do": "see", "what": "#live", "text": "live"},
		{"do": "hover", "what": ".actions form button"},
		{"do": "tell", "url": stage.URL + "/pause"},
		{"do": "see", "what": "h1 .badge", "text": "paused"},
		{"do": "see", "what": ".actions button:hover", "text": "Pause"},
		{"do": "tell", "url": stage.URL + "/resume"},
		{"do": "see", "what": "h1 .badge", "text": "active"},
		// Only a name in the data is known, and what was opened is closed by its key.
		{"do": "press", "text": "Control+k g r a c e Enter"},
		{"do": "click", "what": "#list a"},
		{"do": "see", "what": "h1", "text": "third"},
		{"do": "press", "text": "Control+k"},
		{"do": "click", "what": "#again summary"},
		{"do": "press", "text": "Tab Escape"},
		{"do": "see", "what": "#again:not([open]) summary:focus", "text": "Replay"},
		// What was stored is delivered again: one event, and many.
		{"do": "open", "path": "/ui/events/first"},
		{"do": "click", "what": "#again summary"},
		{"do": "click", "what": "#again button"},
		{"do": "see", "what": ".done", "text": "2 deliveries made, out of order"},
		{"do": "open", "path": "/ui/replays"},
		{"do": "type", "what": "[name=type]", "text": "order.*"},
		{"do": "type", "what": "[name=to]", "text": "archive"},
		{"do": "click", "what": "[value=count]"},
		{"do": "see", "what": ".caution", "text": "3 deliveries of 3 events would be made"},
		{"do": "click", "what": "[value=start]"},
		{"do": "see", "what": "h1 .badge", "text": "done"},
		{"do": "see", "what": "dd", "text": "3 deliveries of 3 events"},
		{"do": "look"}, // a replay
		{"do": "open", "path": "/ui/routes"},
		{"do": "see", "what": "h1", "text": "Routes", "picture": "routes"},
	}
	s := walk(t, map[string]any{
		"states": states(t, d),
		"base":   d.base, "token": "all-of-it-0123456789", "story": story,
		"pages": []string{
			"/", "/ui/events?text=ada", "/ui/events/first", "/ui/events/small", "/ui/deliveries", "/ui/dead-letters", "/ui/replays",
			"/ui/destinations", "/ui/destinations/crm", "/ui/webhooks", "/ui/routes", "/ui/plugins", "/ui/plugins/slack", "/ui/configuration",
		},
	})
	s.judge(t, len(story))
}

// states are pages as a form, a mistake or an empty router answers.
func states(t *testing.T, d *desk) map[string]string {
	t.Helper()
	moving, err := dashboard.Moving()
	if err != nil {
		t.Fatal(err)
	}
	empty := open(t, "")
	all := map[string]string{"moving": moving}
	for name, path := range map[string]string{
		"nothing-yet": "/", "no-events": "/ui/events", "no-deliveries": "/ui/deliveries", "no-destinations": "/ui/destinations",
		"no-routes": "/ui/routes", "no-plugins": "/ui/plugins", "none-fits": "/ui/events?text=nobody",
	} {
		all[name] = empty.see(path)
	}
	for name, path := range map[string]string{"no-such-page": "/ui/nothing", "no-such-event": "/ui/events/nobody", "bad-time": "/ui/events?since=yesterday"} {
		res, body := empty.get(path)
		if res.StatusCode/100 != 4 || !strings.Contains(body, "<html") {
			t.Errorf("%s: %s\n%s", path, res.Status, body)
		}
		all[name] = body
	}
	res, refused := d.submit("/login", url.Values{"token": {"wrong"}}, d.base)
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong token: %s", res.Status)
	}
	all["refused"] = refused
	return all
}
