package attempt

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/sign"
)

// serveNATS runs a real server in this process and returns its host and port.
func serveNATS(t *testing.T, change func(*server.Options)) string {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, StoreDir: t.TempDir()}
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s.Addr().String()
}

func natsClient(t *testing.T, address string) *nats.Conn {
	t.Helper()
	c, err := nats.Connect("nats://" + address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Without a stream a delivery is published and flushed, with the headers of a
// POST.
func TestNATSPublishes(t *testing.T) {
	address := serveNATS(t, nil)
	c := natsClient(t, address)
	sub, err := c.SubscribeSync("orders.paid")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	d := destination(t, "nats://"+address+"/orders.paid")
	d.Secret, d.Headers, d.ForwardHeaders = secret, []event.Field{{Name: "x-team", Value: "billing"}}, []string{"x-github-event"}
	s := open(t, d)
	x := delivery()
	x.EventHeader = []event.Field{{Name: "x-github-event", Value: "push"}}
	for n := range 2 {
		o := s.Send(t.Context(), x)
		if !o.OK || n == 1 && o.Phases.Connect != 0 {
			t.Fatalf("outcome is %+v", o)
		}
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Data) != string(x.Body) {
			t.Errorf("data is %q", m.Data)
		}
		for name, want := range map[string]string{
			"Webhook-Id": x.WebhookID, "Content-Type": "application/json", "X-Webhook-Event": "order.created", "X-Team": "billing",
			"X-Github-Event": "push", "X-Webhook-Attempt": "3", "X-Webhook-Signature": sign.NewHMAC(secret).Signature(x.Body),
		} {
			if got := m.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if m.Header.Get("Content-Length") != "" || m.Header.Get("Host") != "" {
			t.Errorf("headers are %v", m.Header)
		}
	}
}

// Where a stream keeps the subject, it has the delivery, once, however often it
// was sent.
func TestNATSJetStream(t *testing.T) {
	address := serveNATS(t, func(o *server.Options) { o.JetStream = true })
	c := natsClient(t, address)
	js, err := jetstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, MaxMsgSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, destination(t, "nats://"+address+"/orders.paid"))
	for range 3 {
		sendOK(t, s, delivery())
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.State.Msgs != 1 {
		t.Errorf("the stream has %d messages, want the one", info.State.Msgs)
	}
	m, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Data) != string(delivery().Body) || m.Header.Get("Nats-Msg-Id") != delivery().WebhookID {
		t.Errorf("it is %q, %v", m.Data, m.Header)
	}
	large := delivery()
	large.WebhookID, large.Body = "msg_large", []byte(strings.Repeat("x", 2000))
	if o := s.Send(t.Context(), large); o.OK || o.Reason != ReasonStatus || !strings.Contains(o.Error, "JetStream") {
		t.Errorf("a message that the stream does not take: %+v", o)
	}
	if err := js.DeleteStream(t.Context(), "ORDERS"); err != nil {
		t.Fatal(err)
	}
	if o := s.Send(t.Context(), delivery()); o.OK || o.Reason != ReasonStatus {
		t.Errorf("a stream that is gone: %+v", o)
	}
	sendOK(t, s, delivery()) // found out: there is none any more
	must := open(t, destination(t, "nats://"+address+"/orders.paid?jetstream=true"))
	if o := must.Send(t.Context(), delivery()); o.OK || o.Reason != ReasonStatus {
		t.Errorf("a stream that must be there: %+v", o)
	}
}

func TestNATSFailures(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	locked := serveNATS(t, func(o *server.Options) { o.Username, o.Password, o.MaxPayload = "u", "p", 1024 })
	for _, c := range []struct {
		name, url string
		set       func(*config.Destination, *Delivery)
		reason    string
	}{
		{"nobody listens", "nats://" + closed.Addr().String() + "/x", nil, ReasonRefused},
		{"no name", "nats://nobody.invalid:4222/x", nil, ReasonDNS},
		{"hangs", "nats://" + raw(t, hang) + "/x", func(d *config.Destination, _ *Delivery) { d.Timeout = 50 * time.Millisecond }, ReasonTimeout},
		{"hangs up", "nats://" + raw(t, func(net.Conn) {}) + "/x", nil, ReasonReset},
		{"no user", "nats://" + locked + "/x", nil, ReasonAuth},
		{"wrong password", "nats://" + locked + "/x", func(d *config.Destination, _ *Delivery) {
			d.Auth = &config.Auth{Kind: "basic", Username: "u", Password: "hunter2"}
		}, ReasonAuth},
		{"too large", "nats://u:p@" + locked + "/x", func(_ *config.Destination, x *Delivery) { x.Body = make([]byte, 2048) }, ReasonTooLarge},
		{"a header that is no header", "nats://u:p@" + locked + "/x", func(_ *config.Destination, x *Delivery) { x.EventType = "a\nb" }, ReasonConfig},
		{"TLS that it has not", "nats://u:p@" + locked + "/x", func(d *config.Destination, _ *Delivery) { d.TLS = &config.ClientTLS{ServerName: "x"} }, ReasonTLS},
		{"good", "nats://" + locked + "/x", func(d *config.Destination, _ *Delivery) {
			d.Auth = &config.Auth{Kind: "basic", Username: "u", Password: "p"}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, x := destination(t, c.url), delivery()
			if c.set != nil {
				c.set(d, x)
			}
			o := open(t, d).Send(t.Context(), x)
			if o.Reason != c.reason || o.OK != (c.reason == "") || strings.Contains(o.Error, "hunter2") || o.Error == "" && !o.OK {
				t.Errorf("outcome is %+v, want %q", o, c.reason)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := open(t, destination(t, "nats://u:p@"+locked+"/x")).Send(ctx, delivery()); o.Reason != ReasonStopped {
		t.Errorf("stopped: %+v", o)
	}
}

// A server that comes back is found by the next attempt.
func TestNATSConnectsAgain(t *testing.T) {
	address := serveNATS(t, nil)
	s := open(t, destination(t, "nats://"+address+"/x"))
	sendOK(t, s, delivery())
	s.(*natsSender).conn.Close()
	sendOK(t, s, delivery())
}
