package attempt

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/sign"
)

// arrival is a request as the receiver saw it.
type arrival struct {
	header http.Header
	body   []byte
	major  int
}

// keeping serves a receiver that answers 204 and keeps what came.
func keeping(t *testing.T) (*httptest.Server, <-chan arrival) {
	t.Helper()
	got := make(chan arrival, 16)
	server := httptest.NewServer(keep(t, got))
	t.Cleanup(server.Close)
	return server, got
}

func keep(t *testing.T, got chan<- arrival) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- arrival{r.Header, body, r.ProtoMajor}
		w.WriteHeader(http.StatusNoContent)
	})
}

func sendOK(t *testing.T, s Sender, d *Delivery) {
	t.Helper()
	if o := s.Send(t.Context(), d); !o.OK {
		t.Fatalf("outcome is %+v", o)
	}
}

func TestSigningSchemes(t *testing.T) {
	const (
		standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		private        = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
		v1             = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
		v1a            = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
	)
	body := []byte(`{"test": 2432232314}`)
	old, err := sign.NewStandard("old")
	if err != nil {
		t.Fatal(err)
	}
	oldV1 := old.Signature(sign.Message{ID: delivery().WebhookID, Time: delivery().Time, Body: body})
	form := sign.HMACForm{Header: "X-Hub-Signature-256", Base64: true, Prefix: "v="}
	for _, c := range []struct {
		name string
		set  func(*config.Destination)
		want map[string]string // "": must not be there
	}{
		{"unsigned", func(*config.Destination) {}, map[string]string{"Webhook-Signature": "", "X-Webhook-Signature": ""}},
		{"secret", func(c *config.Destination) { c.Secret = standardSecret }, map[string]string{
			"Webhook-Signature": v1, "X-Webhook-Signature": sign.NewHMAC(standardSecret).Signature(body),
		}},
		{"previous secrets", func(c *config.Destination) {
			c.Secret, c.PreviousSecrets = standardSecret, []config.Secret{"old"}
		}, map[string]string{
			"Webhook-Signature": v1 + " " + oldV1, "X-Webhook-Signature": sign.NewHMAC(standardSecret).Signature(body),
		}},
		{"hmac alone", func(c *config.Destination) {
			c.Sign = []config.Sign{{Scheme: "hmac", Secrets: []config.Secret{"a"}, Header: form.Header, Encoding: "base64", Prefix: form.Prefix}}
		}, map[string]string{
			"Webhook-Signature": "", "X-Webhook-Signature": "", "X-Hub-Signature-256": sign.NewHMACIn(form, "a").Signature(body),
		}},
		{"standard alone, two secrets", func(c *config.Destination) {
			c.Sign = []config.Sign{{Scheme: "standard", Secrets: []config.Secret{standardSecret, "old"}}}
		}, map[string]string{"Webhook-Signature": v1 + " " + oldV1, "X-Webhook-Signature": ""}},
		{"ed25519 alone", func(c *config.Destination) {
			c.Sign = []config.Sign{{Scheme: "ed25519", Keys: []config.Secret{private}}}
		}, map[string]string{"Webhook-Signature": v1a, "X-Webhook-Signature": ""}},
		{"all", func(c *config.Destination) {
			c.Sign = []config.Sign{
				{Scheme: "ed25519", Keys: []config.Secret{private}}, {Scheme: "standard", Secrets: []config.Secret{standardSecret}},
				{Scheme: "hmac", Secrets: []config.Secret{"a"}, Header: "X-Webhook-Signature", Encoding: "hex", Prefix: "sha256="},
			}
		}, map[string]string{"Webhook-Signature": v1 + " " + v1a, "X-Webhook-Signature": sign.NewHMAC("a").Signature(body)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, got := keeping(t)
			d := destination(t, server.URL)
			c.set(d)
			sendOK(t, open(t, d), delivery())
			a := <-got
			for name, want := range c.want {
				if values := a.header.Values(name); want == "" && len(values) > 0 || want != "" && !reflect.DeepEqual(values, []string{want}) {
					t.Errorf("%s is %q, want %q", name, values, want)
				}
			}
			if a.header.Get("webhook-id") != delivery().WebhookID || a.header.Get("webhook-timestamp") != "1614265330" {
				t.Errorf("headers are %v", a.header)
			}
		})
	}
}

// Who sets a header: Weir, then a plugin, then the destination, then the event.
func TestHeaders(t *testing.T) {
	server, got := keeping(t)
	c := destination(t, server.URL)
	c.Headers = []event.Field{{Name: "x-team", Value: "billing"}, {Name: "x-static", Value: "static"}}
	c.ForwardHeaders = []string{"x-github-*", "traceparent", "x-team", "*-signature-256", "content-*", "x-static", "x-set"}
	c.Sign = []config.Sign{{Scheme: "hmac", Secrets: []config.Secret{"a"}, Header: "X-Hub-Signature-256", Encoding: "hex"}}
	d := delivery()
	d.Replay = "rpl_1"
	d.Header = []event.Field{{Name: "x-team", Value: "by a plugin"}, {Name: "x-set", Value: "set"}}
	d.EventHeader = []event.Field{
		{Name: "x-github-event", Value: "push"}, {Name: "x-github-many", Value: "1"}, {Name: "other", Value: "no"},
		{Name: "x-github-many", Value: "2"}, {Name: "traceparent", Value: "00-a-b-01"}, {Name: "x-team", Value: "of the event"},
		{Name: "x-hub-signature-256", Value: "of the producer"}, {Name: "content-encoding", Value: "gzip"}, {Name: "content-length", Value: "1"},
		{Name: "x-static", Value: "of the event"}, {Name: "x-set", Value: "of the event"}, {Name: "x-github-bad", Value: "a\x00"},
	}
	sendOK(t, open(t, c), d)
	a := <-got
	want := map[string]string{
		"X-Github-Event": "push", "X-Github-Many": "1, 2", "Traceparent": "00-a-b-01", "X-Team": "by a plugin", "X-Set": "set",
		"X-Static": "static", "X-Hub-Signature-256": sign.NewHMACIn(sign.HMACForm{}, "a").Signature(d.Body),
		"User-Agent": UserAgent, "X-Webhook-Attempt": "3", "X-Webhook-Replay": "rpl_1", "X-Webhook-Event": "order.created",
		"Content-Type": "application/json", "Content-Length": "20", "Webhook-Id": d.WebhookID, "Webhook-Timestamp": "1614265330",
	}
	for name, value := range want {
		if got := a.header.Values(name); !slices.Equal(got, []string{value}) {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if len(a.header) != len(want) {
		t.Errorf("headers are %v", a.header)
	}
	d.Header = []event.Field{{Name: "x-hub-signature-256", Value: "forged"}}
	if o := open(t, c).Send(t.Context(), d); o.Reason != ReasonConfig {
		t.Errorf("a plugin that signs: %+v", o)
	}
}

// What is signed is what is sent.
func TestCompression(t *testing.T) {
	server, got := keeping(t)
	c := destination(t, server.URL)
	c.Compress, c.Secret = true, secret
	s := open(t, c)
	noise := make([]byte, 4<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		body   []byte
		header []event.Field
		zipped bool
	}{
		{"large", bytes.Repeat([]byte(`{"a":1}`), 1<<12), nil, true},
		{"larger than one write", bytes.Repeat(noise, 32), nil, true},
		{"small", []byte(`{"a":1}`), nil, false},
		{"no smaller", noise, nil, false},
		{"encoded by a plugin", bytes.Repeat([]byte("a"), 4<<10), []event.Field{{Name: "content-encoding", Value: "br"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var first []byte
			for range 2 {
				d := delivery()
				d.Body, d.Header = tt.body, tt.header
				sendOK(t, s, d)
				a := <-got
				body := a.body
				if tt.zipped {
					if a.header.Get("Content-Encoding") != "gzip" || len(a.body) >= len(tt.body) {
						t.Fatalf("%d bytes with %v", len(a.body), a.header)
					}
					r, err := gzip.NewReader(bytes.NewReader(a.body))
					if err != nil {
						t.Fatal(err)
					}
					if body, err = io.ReadAll(r); err != nil {
						t.Fatal(err)
					}
				} else if e := a.header.Get("Content-Encoding"); e == "gzip" {
					t.Error("it is compressed")
				}
				if !bytes.Equal(body, tt.body) {
					t.Error("another body arrives")
				}
				if err := sign.NewHMAC(secret).Verify(a.header.Get("X-Webhook-Signature"), a.body); err != nil {
					t.Error(err)
				}
				if first != nil && !bytes.Equal(first, a.body) {
					t.Error("the second attempt has other bytes")
				}
				first = a.body
			}
		})
	}
}

// The CloudEvents SDK reads both forms as the same event.
func TestCloudEventsSDK(t *testing.T) {
	at := time.Date(2024, 1, 1, 12, 0, 0, 5e8, time.UTC)
	for _, m := range []*event.Message{
		{ID: "evt_1", Source: "shop", Type: "order.paid", Time: at, ContentType: "application/json", Data: []byte(`{"total": 1.0, "n": 12345678901234567890}`)},
		{ID: "1", Source: "events", Type: "a", Subject: "sub/ject", Time: at, ContentType: "text/xml", Data: []byte("<a>ü</a>"), Header: []event.Field{
			{Name: "ce-source", Value: "//mycontext/1"}, {Name: "ce-dataschema", Value: "https://example.com/schema"}, {Name: "ce-partitionkey", Value: "k1"}, {Name: "x-other", Value: "no"},
		}},
		{ID: "evt_2", Source: "s", Type: "a", Time: at, ContentType: "image/png", Data: []byte{0xff, 0xfe, 0}},
		{ID: "evt_3", Source: "s", Type: "a", Time: at, ContentType: "application/json", Data: []byte(`"text"`), SetHeader: []event.Field{{Name: "ce-added", Value: "by-a-plugin"}}},
	} {
		for _, format := range []config.Format{config.FormatCloudEvents, config.FormatCloudEventsBinary} {
			t.Run(string(format)+" "+m.ID, func(t *testing.T) {
				got := make(chan *cloudevents.Event, 1)
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					e, err := cloudevents.NewEventFromHTTPRequest(r)
					if err != nil {
						t.Error(err)
						w.WriteHeader(http.StatusBadRequest)
					} else if err := e.Validate(); err != nil {
						t.Error(err)
					}
					got <- e
				}))
				defer server.Close()
				c := destination(t, server.URL)
				c.Format = format
				d := delivery()
				d.Body, d.ContentType, d.Attributes = Body(format, m, 1, true)
				d.Header, d.EventHeader = m.SetHeader, m.Header
				sendOK(t, open(t, c), d)
				e := <-got
				source := "/weir/" + m.Source
				extensions := map[string]any{"sourceeventid": m.ID}
				for _, f := range append(m.Header, m.SetHeader...) {
					switch name, is := strings.CutPrefix(f.Name, "ce-"); {
					case f.Name == "ce-source":
						source = f.Value
					case f.Name == "ce-dataschema":
						if e.DataSchema() != f.Value {
							t.Errorf("dataschema is %q", e.DataSchema())
						}
					case is:
						extensions[name] = f.Value
					}
				}
				if e.SpecVersion() != "1.0" || e.ID() != m.ID+"-1" || e.Source() != source || e.Type() != m.Type || e.Subject() != m.Subject ||
					!e.Time().Equal(at) || e.DataContentType() != m.ContentType {
					t.Errorf("it is %s", e)
				}
				if !reflect.DeepEqual(e.Extensions(), extensions) {
					t.Errorf("extensions are %v, want %v", e.Extensions(), extensions)
				}
				// The SDK hands JSON data on as it stands, and text under another type
				// without its quotes.
				if !bytes.Equal(e.Data(), m.Data) {
					t.Errorf("data is %q, want %q", e.Data(), m.Data)
				}
			})
		}
	}
}
