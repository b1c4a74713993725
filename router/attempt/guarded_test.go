package attempt

import (
	"context"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/attempt/guard"
)

// guarded opens the sender of a stranger's destination.
func guarded(t *testing.T, target string, r guard.Rules) Sender {
	t.Helper()
	s, err := Open(destination(t, target), Options{Guard: guard.New(r)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var allowLoopback = guard.Rules{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

func TestGuardedAttempts(t *testing.T) {
	address := raw(t, func(c net.Conn) { t.Error("somebody connected"); c.Close() })
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "http", Host: address}
	// A proxy would dial for us what we must not.
	t.Setenv("HTTP_PROXY", u.String())
	t.Setenv("HTTPS_PROXY", u.String())
	t.Setenv("http_proxy", u.String())
	t.Setenv("https_proxy", u.String())
	toLoopback := func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	for _, c := range []struct {
		name, url string
		rules     guard.Rules
		want      string
	}{
		{"loopback", "https://127.0.0.1/", guard.Rules{}, "loopback"},
		{"odd spelling", "https://0x7f.1/", guard.Rules{}, "loopback"},
		{"mapped", "https://[::ffff:127.0.0.1]/", guard.Rules{}, "IPv4"},
		{"name", "https://rebinds.example/", guard.Rules{Lookup: toLoopback}, "loopback"},
		{"metadata over http", "http://169.254.169.254/latest", guard.Rules{AllowHTTP: true}, "metadata"},
		{"http that is not allowed any more", "http://public.example/", guard.Rules{}, "not http"},
		{"port", "https://rebinds.example:" + port + "/", guard.Rules{Lookup: toLoopback}, "port " + port},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := guarded(t, c.url, c.rules).Send(t.Context(), delivery())
			if o.OK || o.Reason != ReasonBlocked || !strings.Contains(o.Error, c.want) {
				t.Errorf("outcome is %+v, want blocked, %q", o, c.want)
			}
		})
	}
}

// What an allowed network answers counts, and is not kept.
func TestBodiesOfAllowedNetworksAreNotKept(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		ok           bool
		reason       string
	}{
		{"success", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret", true, ""},
		{"failure", "HTTP/1.1 500 secret\r\nContent-Length: 6\r\n\r\nsecret", false, ReasonStatus},
		{"in the middle", "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nsecret", false, ReasonReset},
		{"no HTTP", "-ERR secret\r\n", false, ReasonProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := raw(t, answering(c.answer))
			o := guarded(t, "http://"+address+"/", allowLoopback).Send(t.Context(), delivery())
			if o.OK != c.ok || o.Reason != c.reason {
				t.Errorf("outcome is %+v", o)
			}
			if len(o.Body) > 0 || strings.Contains(o.Error, "secret") {
				t.Errorf("kept: %q, %q", o.Body, o.Error)
			}
		})
	}
	// The operator's own destinations keep it.
	address := raw(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"))
	if o := open(t, destination(t, "http://"+address+"/")).Send(t.Context(), delivery()); string(o.Body) != "secret" {
		t.Errorf("outcome is %+v", o)
	}
}

// A stranger is not told what address a name has.
func TestGuardedErrorsHideAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	rules := allowLoopback
	rules.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	o := guarded(t, "http://inner.example:"+port+"/", rules).Send(t.Context(), delivery())
	if o.Reason != ReasonRefused || strings.Contains(o.Error, "127.0.0.1") || !strings.Contains(o.Error, "inner.example") {
		t.Errorf("outcome is %+v", o)
	}
}

// A kept connection is one that was checked.
func TestGuardedConnectionsAreKept(t *testing.T) {
	s := serveCounted(t, func(c net.Conn, _, _ int64) bool {
		_, err := io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		return err == nil
	})
	sender := guarded(t, "http://"+s.address+"/", allowLoopback)
	for range 3 {
		if o := sender.Send(t.Context(), delivery()); !o.OK {
			t.Fatalf("outcome is %+v", o)
		}
	}
	s.want(t, 3, 1)
}
