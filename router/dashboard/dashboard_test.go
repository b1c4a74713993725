package dashboard_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// desk is a router with a dashboard, a receiver that can be broken, and a browser
// without scripts.
type desk struct {
	t      *testing.T
	router *router.Router
	base   string
	// receiver is the URL of the one that can be broken.
	receiver string
	broken   atomic.Bool
	client   *http.Client
}

func parse(t *testing.T, hcl string) *config.Config {
	t.Helper()
	c, report := config.Parse("router.hcl", []byte(hcl), config.Options{Dir: t.TempDir()})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

// open starts a router. The configuration may name the receiver as RECEIVER and the
// router's folder as FOLDER.
func open(t *testing.T, hcl string) *desk {
	t.Helper()
	return openIn(t, hcl, t.TempDir())
}

// openIn starts one in a folder.
func openIn(t *testing.T, hcl, dir string) *desk {
	t.Helper()
	d := &desk{t: t}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if d.broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(receiver.Close)
	hcl = strings.NewReplacer("RECEIVER", receiver.URL, "FOLDER", dir).Replace(hcl + `
store "badger" {
  path = "FOLDER/data"
}
`)
	r, err := router.New(context.Background(), parse(t, hcl), router.Options{CacheDir: filepath.Join(dir, "cache"), Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.router, d.base, d.receiver = r, "http://"+l.Addr().String(), receiver.URL
	d.client = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	d.await("the server", func() bool { return r.Ready() == nil })
	return d
}

func (d *desk) await(what string, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (d *desk) publish(id, eventType, data string) {
	d.t.Helper()
	if _, err := d.router.Publish(context.Background(), router.Event{ID: id, Type: eventType, Data: []byte(data)}); err != nil {
		d.t.Fatal(err)
	}
}

// publishMany sends one event so often, as a batch.
func (d *desk) publishMany(n int, e string) {
	d.t.Helper()
	body := "[" + strings.TrimSuffix(strings.Repeat(e+",", n), ",") + "]"
	res, err := d.client.Post(d.base+"/events", "application/json", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		d.t.Fatal(res.Status)
	}
}

func (d *desk) do(req *http.Request) (*http.Response, string) {
	d.t.Helper()
	res, err := d.client.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return res, string(body)
}

func (d *desk) get(path string) (*http.Response, string) {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodGet, d.base+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.do(req)
}

// see gets a page that must be there.
func (d *desk) see(path string) string {
	d.t.Helper()
	res, body := d.get(path)
	if res.StatusCode != 200 {
		d.t.Fatalf("%s: %s\n%s", path, res.Status, body)
	}
	return body
}

// submit sends a form as a browser does that shows a page of the router.
func (d *desk) submit(path string, form url.Values, origin string) (*http.Response, string) {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodPost, d.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	return d.do(req)
}

const twoDestinations = `
destination "crm" {
  url = "RECEIVER"
  retry {
    schedule = ["0s"]
  }
}
destination "archive" {
  url = "stdout:"
}
route "orders" {
  events = ["order.*"]
  when   = event.data.total > 100
  to     = [destination.crm]
}
route "all" {
  to = [destination.archive]
}
`

// ofDelivery finds the link to a delivery in a page.
var ofDelivery = regexp.MustCompile(`/ui/deliveries/(dlv_[0-9a-z_]+)`)

// What cannot be routed is no destination's, and yet the first thing that is seen.
func TestUnrouted(t *testing.T) {
	wasm, err := filepath.Abs("../../plugins/abi/testdata/trap-filter.wasm")
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, fmt.Sprintf(`
plugin "trap" {
  wasm = %q
}
destination "archive" {
  url = "stdout:"
}
route "all" {
  through = [plugin.trap]
  to      = [destination.archive]
}
`, wasm))
	d.publish("lost", "order.paid", `{}`)
	d.await("the dead letter", func() bool { return strings.Contains(d.see("/"), "1 event could not be routed") })
	for path, want := range map[string]string{
		"/": `href="/ui/dead-letters?destination=%40routing">See why`, "/ui/events/lost": "Route it again",
		"/ui/dead-letters?destination=@routing": "1 dead letter of routing itself",
	} {
		if body := d.see(path); !strings.Contains(body, want) {
			t.Errorf("%s does not say %q:\n%s", path, want, body)
		}
	}
}

// Every page says what the API says, and tells nothing from outside as markup.
func TestPages(t *testing.T) {
	d := open(t, twoDestinations)
	d.broken.Store(true)
	d.publish("big", "order.paid", `{"total": 120, "note": "<script>alert(1)</script>"}`)
	d.publish("small", "order.paid", `{"total": 80}`)
	d.publish("dlv_of-the-producer", "other", `{}`)
	d.await("the outcomes", func() bool { return strings.Contains(d.see("/ui/dead-letters"), "big") })
	d.await("the statistics", func() bool { return strings.Contains(d.see("/"), "1 answered with an error") })

	for path, want := range map[string][]string{
		"/":                       {"crm</a>: answered 503 since", "Send the 1 dead again", "order.paid", "archive", "Dead letters"},
		"/?window=1h":             {`aria-current="true">1h`},
		"/ui/events":              {"big", "small", "order.paid"},
		"/ui/events?type=nothing": {"No event fits"},
		"/ui/events?text=ALERT":   {">big<", "Searched 3 events, from", "all that there are"},
		"/ui/events?text=nowhere": {"No event fits."},
		"/ui/events?destination=crm&status=dead&since=2h": {">big<", "Searched 1 event"},
		"/ui/events/small":           {"event.data.total is 80, not &gt; 100", "route orders", "to archive"},
		"/ui/events/big":             {"crm is failing: answered 503 since", "answered 503", "gave up after the last attempt", "&lt;script&gt;alert(1)", "Send it now", "curl"},
		"/ui/deliveries":             {"crm", "archive", "delivered", "dead"},
		"/ui/deliveries?status=dead": {"crm"},
		"/ui/deliveries?webhook_id=" + event.WebhookID(1, "big", "orders", 0, "crm"): {">crm</a>", ">big</a>", "dead"},
		"/ui/deliveries?webhook_id=msg_aaaaaaaaaaaaaaaaaaaaaaaaaa":                   {"No delivery fits."},
		"/ui/events?status=sending":                                                  {"<option selected>sending", "No event fits"},
		"/ui/deliveries?status=sending":                                              {"<option selected>sending", "No delivery fits"},
		"/ui/dead-letters":                                                           {"answered 503", "big", "Send all again", "1 dead letter:"},
		"/ui/destinations":                                                           {"crm", "failing", "archive", "active"},
		"/ui/destinations/crm":                                                       {"answered 503", "Why it fails", "Pause", "Send the 1 dead again", "Failures in a row</dt><dd>1</dd>"},
		"/ui/plugins":                                                                {"has no plugins"},
		"/ui/routes":                                                                 {"<svg", "destination, failing", "event.data.total &gt; 100", `crm <span class="quiet">1<`, `events <span class="quiet">3<`},
		"/ui/routes?route=or":                                                        {">orders</a>"},
		"/ui/configuration":                                                          {"none since the start", "<h2>router.hcl</h2>", "event.data.total &gt; 100", `aria-current="page">Configuration`},
		"/ui/find?id=big":                                                            {"/ui/events/big"},
		"/ui/find?id=+ALERT(1)+":                                                     {"/ui/events?text=ALERT%281%29"},
		"/ui/find?id=dlv_of-the-producer":                                            {"/ui/events/dlv_of-the-producer"},
		"/ui/find?id=" + store.Ref{Position: 1}.String():                             {"/ui/deliveries/" + store.Ref{Position: 1}.String()},
		"/ui/find?id=dlv_x":                                                          {"/ui/events?text=dlv_x"},
		"/ui/find?id=rpl_x":                                                          {"/ui/events?text=rpl_x"},
		"/ui/find?id=rpn_x":                                                          {"/ui/events?text=rpn_x"},
		"/ui/find?id=msg_grd5xcxg23w2v7ozvkbqman4vq":                                 {"/ui/deliveries?webhook_id=msg_grd5xcxg23w2v7ozvkbqman4vq"},
		"/ui/find?id=wh_01M8HR489TKX1EN8NEJYYQVEAM":                                  {"/ui/events?text=wh_01M8HR489TKX1EN8NEJYYQVEAM"},
		"/ui/find?id=":                                                               {"/ui/events"},
		"/ui/events/big?source=other":                                                nil,
	} {
		res, body := d.get(path)
		switch {
		case strings.HasPrefix(path, "/ui/find"):
			if res.StatusCode != 303 || res.Header.Get("Location") != want[0] {
				t.Errorf("%s leads to %s %s", path, res.Status, res.Header.Get("Location"))
			}
			continue
		case want == nil:
			if res.StatusCode != 404 || !strings.Contains(body, "event_not_found") {
				t.Errorf("%s: %s\n%s", path, res.Status, body)
			}
			continue
		}
		if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %s, %s", path, res.Status, res.Header.Get("Content-Type"))
		}
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s does not say %q:\n%s", path, w, body)
			}
		}
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "style=") || strings.Contains(body, "onclick") {
			t.Errorf("%s has markup that it must not have", path)
		}
		policy := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
	id := ofDelivery.FindStringSubmatch(d.see("/ui/dead-letters"))
	if id == nil {
		t.Fatal("no delivery is linked")
	}
	if body := d.see("/ui/deliveries/" + id[1]); !strings.Contains(body, "answered 503") || !strings.Contains(body, "webhook-id") {
		t.Errorf("the delivery's page says\n%s", body)
	}
	for _, asset := range regexp.MustCompile(`/ui/assets/[a-z]+\.[0-9a-f]+\.[a-z]+`).FindAllString(d.see("/"), -1) {
		if res, body := d.get(asset); res.StatusCode != 200 || body == "" || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %s", asset, res.Status)
		}
	}
}

// What the buttons do, without scripts; and that no other site's page can press
// them.
func TestButtons(t *testing.T) {
	d := open(t, twoDestinations)
	d.broken.Store(true)
	for i := range 3 {
		d.publish(fmt.Sprintf("o%d", i), "order.paid", `{"total": 120}`)
	}
	dead := func() int { return strings.Count(d.see("/ui/dead-letters"), `type="checkbox" name="id"`) }
	d.await("dead letters", func() bool { return dead() == 3 })
	id := ofDelivery.FindStringSubmatch(d.see("/ui/dead-letters"))[1]

	for _, origin := range []string{"", "http://evil.example", "null"} {
		if res, body := d.submit("/ui/deliveries/"+id+"/retry", url.Values{}, origin); res.StatusCode != 403 || !strings.Contains(body, "origin_not_allowed") {
			t.Errorf("origin %q: %s\n%s", origin, res.Status, body)
		}
	}
	d.broken.Store(false)
	res, body := d.submit("/ui/deliveries/"+id+"/retry", url.Values{"back": {"/ui/dead-letters?destination=crm"}}, d.base)
	if res.StatusCode != 303 || !strings.HasPrefix(res.Header.Get("Location"), "/ui/dead-letters?destination=crm&done=") {
		t.Fatalf("%s %s\n%s", res.Status, res.Header.Get("Location"), body)
	}
	if body := d.see(res.Header.Get("Location")); !strings.Contains(body, "The delivery is due now.") {
		t.Errorf("it does not say what was done:\n%s", body)
	}
	for _, back := range []string{"//evil.example", "https://evil.example/", `/\evil.example`, "javascript:alert(1)"} {
		res, _ := d.submit("/ui/destinations/crm/resume", url.Values{"back": {back}}, d.base)
		if to := res.Header.Get("Location"); !strings.HasPrefix(to, "/?done=") {
			t.Errorf("back to %s leads to %s", back, to)
		}
	}
	d.await("one dead letter less", func() bool { return dead() == 2 })

	if res, body := d.submit("/ui/dead-letters/retry", url.Values{"which": {"ticked"}}, d.base); res.StatusCode != 303 || !strings.Contains(res.Header.Get("Location"), "Nothing") {
		t.Errorf("%s\n%s", res.Status, body)
	}
	if res, body := d.submit("/ui/dead-letters/retry", url.Values{"which": {"all"}, "destination": {"crm"}}, d.base); res.StatusCode != 303 || !strings.Contains(res.Header.Get("Location"), "2+deliveries") {
		t.Errorf("%s %s\n%s", res.Status, res.Header.Get("Location"), body)
	}
	d.await("all to be delivered", func() bool { return dead() == 0 && strings.Contains(d.see("/ui/destinations/crm"), "3 delivered") })

	if res, _ := d.submit("/ui/destinations/crm/pause", url.Values{}, d.base); res.StatusCode != 303 || !strings.Contains(d.see("/ui/destinations/crm"), ">paused<") {
		t.Errorf("not paused: %s", res.Status)
	}
	d.publish("later", "order.paid", `{"total": 120}`)
	d.await("it to wait", func() bool {
		return strings.Contains(d.see("/"), "paused by hand since") && strings.Contains(d.see("/"), "1 waiting")
	})
	if res, _ := d.submit("/ui/destinations/crm/resume", url.Values{}, d.base); res.StatusCode != 303 {
		t.Errorf("not resumed: %s", res.Status)
	}
	d.await("it to go on", func() bool { return strings.Contains(d.see("/ui/destinations/crm"), "4 delivered") })
	if res, body := d.submit("/ui/destinations/nobody/pause", url.Values{}, d.base); res.StatusCode != 404 || !strings.Contains(body, "destination_not_found") {
		t.Errorf("%s\n%s", res.Status, body)
	}
}

// Events are delivered again from their page, to all or to one, and in bulk by a
// filter, which counts first; a replay shows how far it is, and can be cancelled.
func TestReplayPages(t *testing.T) {
	d := open(t, twoDestinations)
	d.publish("big", "order.paid", `{"total": 120}`)
	d.publish("small", "order.paid", `{"total": 80}`)
	delivered := func(name string, n int) {
		t.Helper()
		d.await(fmt.Sprint(n, " to ", name), func() bool { return strings.Contains(d.see("/ui/destinations/"+name), fmt.Sprint(n, " delivered")) })
	}
	delivered("crm", 1)
	delivered("archive", 2)
	again := func(form url.Values) string {
		t.Helper()
		form.Set("back", "/ui/events/big")
		res, body := d.submit("/ui/events/big/replay", form, d.base)
		if res.StatusCode != 303 {
			t.Fatalf("%s\n%s", res.Status, body)
		}
		return d.see(res.Header.Get("Location"))
	}
	if body := again(url.Values{"source": {"events"}}); !strings.Contains(body, "2 deliveries made, out of order") {
		t.Errorf("to all: %s", body)
	}
	if body := again(url.Values{"to": {"crm"}, "routes": {"current"}, "new_ids": {"yes"}}); !strings.Contains(body, "1 delivery made") {
		t.Errorf("to one: %s", body)
	}
	delivered("crm", 3)
	delivered("archive", 3)
	if res, body := d.submit("/ui/events/big/replay", url.Values{"to": {"nobody"}}, d.base); res.StatusCode/100 != 4 || !strings.Contains(body, "nobody") {
		t.Errorf("to nobody: %s\n%s", res.Status, body)
	}

	form := url.Values{"type": {"order.*"}, "since": {"1h"}, "to": {"archive"}, "rate": {"1"}, "do": {"count"}}
	if res, body := d.submit("/ui/replays", form, d.base); res.StatusCode != 200 || !strings.Contains(body, "2 deliveries of 2 events would be made") || !strings.Contains(body, `value="order.*"`) {
		t.Errorf("counted: %s\n%s", res.Status, body)
	}
	for field, value := range map[string]string{"since": "yesterday", "rate": "many"} {
		bad := url.Values{field: {value}, "do": {"start"}}
		if res, body := d.submit("/ui/replays", bad, d.base); res.StatusCode != 400 || !strings.Contains(body, value) {
			t.Errorf("%s %s: %s\n%s", field, value, res.Status, body)
		}
	}
	d.submit("/ui/destinations/archive/pause", url.Values{}, d.base)
	form.Set("do", "start")
	res, body := d.submit("/ui/replays", form, d.base)
	page := res.Header.Get("Location")
	if res.StatusCode != 303 || !strings.HasPrefix(page, "/ui/replays/rpl_") {
		t.Fatalf("started: %s %s\n%s", res.Status, page, body)
	}
	if body := d.see(page); !strings.Contains(body, "order.* since") || !strings.Contains(body, "only to archive") || !strings.Contains(body, "1 event a second") {
		t.Errorf("its page says\n%s", body)
	}
	if res, _ := d.submit(page+"/cancel", url.Values{"back": {page}}, d.base); res.StatusCode != 303 || !strings.Contains(d.see("/ui/replays"), strings.TrimPrefix(page, "/ui/replays/")) {
		t.Errorf("cancelled: %s", res.Status)
	}
}

// What takes long goes in steps, each of which can be the last, and says how far it
// is.
func TestDeadLettersInSteps(t *testing.T) {
	d := open(t, strings.Replace(twoDestinations, `url = "RECEIVER"`, "url = \"RECEIVER\"\n  breaker {\n    failures = 10000\n  }", 1))
	d.broken.Store(true)
	const n = 600 // more than a step
	d.publishMany(n, `{"event": "order.paid", "data": {"total": 120}}`)
	d.await("dead letters", func() bool { return strings.Contains(d.see("/ui/dead-letters"), "600 dead letters") })
	one := ofDelivery.FindStringSubmatch(d.see("/ui/dead-letters"))[1]
	res, _ := d.submit("/ui/dead-letters/cancel", url.Values{"one": {one}, "back": {"/ui/dead-letters"}}, d.base)
	if body := d.see(res.Header.Get("Location")); !strings.Contains(body, "1 delivery cancelled.") || !strings.Contains(body, "599 dead letters") {
		t.Errorf("one: %s", body)
	}
	res, body := d.submit("/ui/dead-letters/cancel", url.Values{"which": {"all"}, "back": {"/ui/dead-letters"}}, d.base)
	if res.StatusCode != 200 || !strings.Contains(body, "500 deliveries cancelled, of 599") || !strings.Contains(body, "data-go-on") {
		t.Fatalf("the first step: %s\n%s", res.Status, body)
	}
	form := url.Values{}
	for _, m := range regexp.MustCompile(`type="hidden" name="([a-z]+)" value="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		form.Set(m[1], m[2])
	}
	res, body = d.submit("/ui/dead-letters/cancel", form, d.base)
	if to := res.Header.Get("Location"); res.StatusCode != 303 || !strings.HasPrefix(to, "/ui/dead-letters?done=599+deliveries+cancelled.") {
		t.Errorf("the last step: %s %s\n%s", res.Status, to, body)
	}
	if body := d.see("/ui/dead-letters"); !strings.Contains(body, "None.") {
		t.Errorf("what is left: %s", body)
	}
}

// The configuration that runs is shown with its secrets masked, and how the last
// reload ended: one that was refused changes nothing of it.
func TestConfigurationPage(t *testing.T) {
	d := open(t, strings.Replace(twoDestinations, `url = "RECEIVER"`, "url = \"RECEIVER\"\n  secret = \"a-secret-of-the-page\"", 1))
	body := d.see("/ui/configuration")
	hash := regexp.MustCompile(`[0-9a-f]{64}`).FindString(body)
	if hash == "" || !strings.Contains(body, "secret = ") || !strings.Contains(body, "***") || strings.Contains(body, "a-secret-of-the-page") {
		t.Errorf("the page says\n%s", body)
	}
	d.submit("/ui/destinations/crm/pause", url.Values{}, d.base)
	d.publish("big", "order.paid", `{"total": 120}`)
	d.await("it to wait", func() bool { return strings.Contains(d.see("/"), "1 waiting") })
	less := parse(t, "destination \"archive\" {\n  url = \"stdout:\"\n}\n")
	if _, err := d.router.Reload(t.Context(), less, false); err == nil {
		t.Fatal("what waits for crm would be orphaned")
	}
	if body := d.see("/ui/configuration"); !strings.Contains(body, "was refused: ") || !strings.Contains(body, "crm") || !strings.Contains(body, hash) {
		t.Errorf("after a reload that was refused it says\n%s", body)
	}
	if _, err := d.router.Reload(t.Context(), less, true); err != nil {
		t.Fatal(err)
	}
	if body := d.see("/ui/configuration"); !strings.Contains(body, "applied") || strings.Contains(body, "was refused") || strings.Contains(body, "crm") || strings.Contains(body, hash) {
		t.Errorf("after a reload it says\n%s", body)
	}
}

// A webhook is registered, tested, paused, changed, gets another secret, and is
// deleted; its secret is shown when it is made, and never again.
func TestWebhookPages(t *testing.T) {
	wasm, err := filepath.Abs("../../plugins/abi/testdata/trap-filter.wasm")
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, twoDestinations+fmt.Sprintf(`
plugin "trap" {
  wasm = %[1]q
}
plugin "kept" {
  wasm = %[1]q
}
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
  plugins        = [plugin.trap]
}
`, wasm))
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	if res, body := d.submit("/ui/webhooks", url.Values{"url": {"http://169.254.169.254/"}, "events": {"order.*"}}, d.base); res.StatusCode != 422 && res.StatusCode != 400 || !strings.Contains(body, "blocked") {
		t.Errorf("a bad address: %s\n%s", res.Status, body)
	}
	res, body := d.submit("/ui/webhooks", url.Values{"url": {receiver.URL}, "events": {"order.*, invoice.paid"}, "tenant": {"acme"}, "uid": {"acme-main"}, "description": {"ACME"}}, d.base)
	id := regexp.MustCompile(`wh_[0-9A-Za-z]+`).FindString(body)
	secret := regexp.MustCompile(`whsec_[0-9A-Za-z+/=]+`).FindString(body)
	if res.StatusCode != 200 || id == "" || secret == "" {
		t.Fatalf("%s\n%s", res.Status, body)
	}
	page := "/ui/webhooks/" + id
	if body := d.see(page); !strings.Contains(body, receiver.URL) || !strings.Contains(body, "order.*, invoice.paid") || strings.Contains(body, secret) {
		t.Errorf("its page says\n%s", body)
	}
	if body := d.see("/ui/webhooks?tenant=acme"); !strings.Contains(body, id) || !strings.Contains(body, "acme-main: ACME") {
		t.Errorf("the list says\n%s", body)
	}
	found := func(text, want string) {
		t.Helper()
		if res, _ := d.get("/ui/find?" + url.Values{"id": {text}}.Encode()); res.StatusCode != 303 || res.Header.Get("Location") != want {
			t.Errorf("%s leads to %s %s, not %s", text, res.Status, res.Header.Get("Location"), want)
		}
	}
	found("acme-main", page)
	found("acme", "/ui/events?text=acme")
	if res, body := d.submit("/ui/webhooks", url.Values{"url": {receiver.URL}, "events": {"*"}, "tenant": {"other"}, "uid": {"acme-main"}}, d.base); res.StatusCode != 200 {
		t.Fatalf("one of another tenant: %s\n%s", res.Status, body)
	}
	found("acme-main", "/ui/webhooks?uid=acme-main")
	if body := d.see("/ui/destinations"); !strings.Contains(body, id+`</a><span class="quiet under">acme/acme-main</span>`) {
		t.Errorf("the destinations don't say whose it is\n%s", body)
	}
	press := func(verb string, form url.Values) string {
		t.Helper()
		form.Set("back", page)
		res, body := d.submit(page+"/"+verb, form, d.base)
		if res.StatusCode != 303 {
			t.Fatalf("%s: %s\n%s", verb, res.Status, body)
		}
		return d.see(res.Header.Get("Location"))
	}
	if body := press("test", url.Values{}); !strings.Contains(body, "The test event: answered 200") {
		t.Errorf("tested:\n%s", body)
	}
	if body := press("pause", url.Values{}); !strings.Contains(body, ">paused<") {
		t.Errorf("paused:\n%s", body)
	}
	if body := d.see("/"); !strings.Contains(body, id+`</a> <span class="quiet">acme/acme-main</span>: paused`) {
		t.Errorf("the overview does not say whose it is\n%s", body)
	}
	if body := press("resume", url.Values{}); !strings.Contains(body, ">active<") {
		t.Errorf("resumed:\n%s", body)
	}
	if body := press("edit", url.Values{"url": {receiver.URL + "/other"}, "events": {"user.*"}}); !strings.Contains(body, "/other") || !strings.Contains(body, "user.*") {
		t.Errorf("edited:\n%s", body)
	}
	form := url.Values{"url": {receiver.URL}, "events": {"user.*"}, "filter": {"event.data.total > 100"}, "description": {"big ones"}}
	if body := press("edit", form); !strings.Contains(body, "<dd><code>event.data.total &gt; 100</code></dd>") || !strings.Contains(body, "<dd>big ones</dd>") {
		t.Errorf("given a filter:\n%s", body)
	}
	form.Set("filter", "")
	if body := press("edit", form); strings.Contains(body, "<dt>Filter</dt>") || !strings.Contains(body, "<dd>big ones</dd>") {
		t.Errorf("its filter taken away:\n%s", body)
	}
	if body := d.see(page); !strings.Contains(body, `<option>trap</option>`) || strings.Contains(body, `<option>kept</option>`) {
		t.Errorf("the plugins that it may have:\n%s", body)
	}
	form.Set("plugin", "trap")
	form.Set("had_plugin", "")
	if body := press("edit", form); !strings.Contains(body, `<option selected>trap</option>`) || !strings.Contains(body, `href="/ui/plugins/trap"`) {
		t.Errorf("given a plugin:\n%s", body)
	}
	form.Set("had_plugin", "trap")
	if body := press("edit", form); !strings.Contains(body, `<option selected>trap</option>`) {
		t.Errorf("its plugin kept:\n%s", body)
	}
	form.Set("plugin", "")
	if body := press("edit", form); strings.Contains(body, `<option selected>`) {
		t.Errorf("its plugin taken away:\n%s", body)
	}
	patch, err := http.NewRequest(http.MethodPatch, d.base+"/api/webhooks/"+id, strings.NewReader(`{"metadata":{"plan":"<gold>"}}`))
	if err != nil {
		t.Fatal(err)
	}
	patch.Header.Set("Content-Type", "application/json")
	if res, body := d.do(patch); res.StatusCode != 200 {
		t.Fatalf("%s %s", res.Status, body)
	}
	if body := d.see(page); !strings.Contains(body, "<dt>Metadata</dt>") || !strings.Contains(body, "plan") || strings.Contains(body, "<gold>") {
		t.Errorf("its metadata:\n%s", body)
	}
	res, body = d.submit(page+"/rotate", url.Values{}, d.base)
	if again := regexp.MustCompile(`whsec_[0-9A-Za-z+/=]+`).FindString(body); res.StatusCode != 200 || again == "" || again == secret {
		t.Errorf("rotated: %s\n%s", res.Status, body)
	}
	if !strings.Contains(body, "beside it for a day") {
		t.Errorf("it does not say how long the old secret is used:\n%s", body)
	}
	res, body = d.submit(page+"/rotate", url.Values{"cut": {"yes"}}, d.base)
	if res.StatusCode != 200 || !strings.Contains(body, "sign nothing any more") {
		t.Errorf("cut off: %s\n%s", res.Status, body)
	}
	if res, _ := d.submit(page+"/delete", url.Values{"back": {"/ui/webhooks"}}, d.base); res.StatusCode != 303 || strings.Contains(d.see("/ui/webhooks"), id) {
		t.Errorf("deleted: %s", res.Status)
	}
}

// A webhook whose receiver said 410: a delivery that is sent again waits, which is said
// with the button that ends it. One that a filter kept from the event leads to the
// filter, and can be sent the event once that is mended.
func TestWebhookThatGotNothing(t *testing.T) {
	d := open(t, twoDestinations+`
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
}
`)
	var well atomic.Bool
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !well.Load() {
			w.WriteHeader(http.StatusGone)
		}
	}))
	defer receiver.Close()
	register := func(form url.Values) string {
		t.Helper()
		form.Set("url", receiver.URL)
		res, body := d.submit("/ui/webhooks", form, d.base)
		id := regexp.MustCompile(`wh_[0-9A-Za-z]+`).FindString(body)
		if res.StatusCode != 200 || id == "" {
			t.Fatalf("%s\n%s", res.Status, body)
		}
		return id
	}
	gone := register(url.Values{"events": {"user.*"}})
	picky := register(url.Values{"events": {"user.*"}, "uid": {"<picky>"}, "filter": {"event.data.total > 100"}})
	d.publish("u-1", "user.created", `{"total": 1}`)
	event := "/ui/events/u-1?source=events"
	d.await("the 410", func() bool {
		_, body := d.get(event)
		return strings.Contains(body, gone+" is disabled: the receiver answered 410 Gone, since ")
	})
	body := d.see(event)
	host := strings.TrimPrefix(receiver.URL, "http://")
	for _, want := range []string{
		`action="/ui/destinations/` + gone + `/resume"`,
		`to ` + gone + `</a> <span class="quiet">` + host + `</span>: `,
		`to ` + gone + `</a> <span class="quiet">` + host + "</span>\n",
		`webhook <a href="/ui/webhooks/` + gone + `">` + gone + `</a> <span class="quiet">` + host + `</span>`,
		`webhook <a href="/ui/webhooks/` + picky + `">` + picky + `</a> <span class="quiet">&lt;picky&gt;</span>`,
		`<option value="` + picky + `">` + picky + ` (&lt;picky&gt;)</option>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s:\n%s", want, body)
		}
	}
	id := ofDelivery.FindStringSubmatch(body)[1]
	for page, want := range map[string]string{
		"/ui/deliveries": gone + `</a><span class="quiet under">` + host + `</span>`, "/ui/deliveries/" + id: host, "/ui/destinations/" + gone: host,
		"/": gone + `</a> <span class="quiet">` + host + `</span>: `,
	} {
		if body := d.see(page); !strings.Contains(body, want) {
			t.Errorf("%s does not say whose the webhook is:\n%s", page, body)
		}
	}
	res, _ := d.submit("/ui/deliveries/"+id+"/retry", url.Values{"back": {event}}, d.base)
	if body := d.see(res.Header.Get("Location")); !strings.Contains(body, "The delivery is due, but "+gone+" is disabled: it is sent once that is resumed.") {
		t.Errorf("sent again:\n%s", body)
	}
	well.Store(true)
	if res, body := d.submit("/ui/destinations/"+gone+"/resume", url.Values{"back": {event}}, d.base); res.StatusCode != 303 {
		t.Fatalf("resumed: %s\n%s", res.Status, body)
	}
	d.await("it to be delivered", func() bool { return !strings.Contains(d.see(event), gone+" is ") })
	form := url.Values{"back": {event}, "source": {"events"}, "to": {picky}, "routes": {"current"}}
	if res, body := d.submit("/ui/events/u-1/replay", form, d.base); res.StatusCode != 409 || !strings.Contains(body, "nothing_to_replay") {
		t.Errorf("replayed before its filter is mended: %s\n%s", res.Status, body)
	}
	if res, body := d.submit("/ui/webhooks/"+picky+"/edit", url.Values{"url": {receiver.URL}, "events": {"user.*"}, "filter": {""}}, d.base); res.StatusCode != 303 {
		t.Fatalf("edited: %s\n%s", res.Status, body)
	}
	if res, body := d.submit("/ui/events/u-1/replay", form, d.base); res.StatusCode != 303 || !strings.Contains(res.Header.Get("Location"), "1+delivery+made") {
		t.Errorf("replayed: %s %s\n%s", res.Status, res.Header.Get("Location"), body)
	}
}

const withTokens = `
server {
  token = "all-of-it-0123456789"
  access "reader" {
    token  = "only-reading-0123456789"
    scopes = ["read"]
  }
  access "shop" {
    token  = "only-sending-0123456789"
    scopes = ["ingest"]
  }
}
` + twoDestinations

// Who signs in gets a session that is worth what the token is worth.
func TestSignIn(t *testing.T) {
	d := open(t, withTokens)
	if res, _ := d.get("/ui/events?type=a"); res.StatusCode != 303 || res.Header.Get("Location") != "/login?next=%2Fui%2Fevents%3Ftype%3Da" {
		t.Fatalf("a stranger gets %s %s", res.Status, res.Header.Get("Location"))
	}
	if res, body := d.get("/api/events"); res.StatusCode != 401 || strings.Contains(body, "<html") {
		t.Errorf("the API answers a stranger %s", res.Status)
	}
	page := d.see("/login?next=%2Fui%2Fevents")
	if !strings.Contains(page, `value="/ui/events"`) {
		t.Errorf("the page forgets where to go:\n%s", page)
	}
	signIn := func(token, origin string) (*http.Response, string) {
		return d.submit("/login", url.Values{"token": {token}, "next": {"/ui/events"}}, origin)
	}
	if res, body := signIn("wrong", d.base); res.StatusCode != 401 || !strings.Contains(body, "does not know the token") || len(res.Cookies()) != 0 || strings.Contains(body, "wrong") {
		t.Errorf("%s\n%s", res.Status, body)
	}
	if res, body := signIn("only-sending-0123456789", d.base); res.StatusCode != 403 || !strings.Contains(body, "scope read") || len(res.Cookies()) != 0 {
		t.Errorf("who may not look: %s\n%s", res.Status, body)
	}
	if res, _ := signIn("all-of-it-0123456789", "http://evil.example"); res.StatusCode != 403 || len(res.Cookies()) != 0 {
		t.Errorf("from another site: %s", res.Status)
	}
	res, _ := signIn("only-reading-0123456789", d.base)
	if res.StatusCode != 303 || res.Header.Get("Location") != "/ui/events" || len(res.Cookies()) != 1 {
		t.Fatalf("%s %s, %v", res.Status, res.Header.Get("Location"), res.Cookies())
	}
	cookie := res.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || strings.Contains(cookie.Value, "only-reading") || len(cookie.Value) < 40 || cookie.Secure {
		t.Errorf("the cookie is %+v", cookie)
	}
	d.see("/ui/events")
	if res, _ := d.get("/api/events"); res.StatusCode != 200 {
		t.Errorf("the pages' own requests: %s", res.Status)
	}
	if res, body := d.submit("/ui/destinations/crm/pause", url.Values{}, d.base); res.StatusCode != 403 || !strings.Contains(body, "scope_missing") {
		t.Errorf("a reader pauses: %s\n%s", res.Status, body)
	}
	if res, _ := d.submit("/logout", url.Values{}, d.base); res.StatusCode != 303 {
		t.Errorf("sign out: %s", res.Status)
	}
	d.client.Jar.SetCookies(res.Request.URL, []*http.Cookie{cookie}) // somebody kept it
	if res, _ := d.get("/ui/events"); res.StatusCode != 303 {
		t.Errorf("after signing out: %s", res.Status)
	}

	if res, _ := signIn("all-of-it-0123456789", d.base); res.StatusCode != 303 {
		t.Fatalf("sign in again: %s", res.Status)
	}
	for origin, want := range map[string]int{d.base: 303, "": 403, "http://evil.example": 403} {
		if res, _ := d.submit("/ui/destinations/crm/pause", url.Values{}, origin); res.StatusCode != want {
			t.Errorf("origin %q: %s, want %d", origin, res.Status, want)
		}
		req, err := http.NewRequest(http.MethodPost, d.base+"/api/destinations/crm/resume", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		if res, _ := d.do(req); (res.StatusCode == 200) != (want == 303) {
			t.Errorf("the API by cookie, origin %q: %s", origin, res.Status)
		}
	}
}

// Guessing is slow.
func TestSignInIsLimited(t *testing.T) {
	d := open(t, withTokens)
	for i := range 200 {
		res, _ := d.submit("/login", url.Values{"token": {fmt.Sprint("guess", i)}}, d.base)
		if res.StatusCode == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("200 guesses at once were answered")
}
