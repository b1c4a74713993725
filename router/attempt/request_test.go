package attempt

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/sign"
)

// Path, query and host go out as net/http sends them: nothing is normalised.
func TestPrelude(t *testing.T) {
	for target, want := range map[string]string{
		"http://example.com":                          "POST / HTTP/1.1|Host: example.com",
		"http://example.com?":                         "POST /? HTTP/1.1|Host: example.com",
		"http://example.com:80/a":                     "POST /a HTTP/1.1|Host: example.com:80",
		"http://Example.com/A/../b/./c":               "POST /A/../b/./c HTTP/1.1|Host: Example.com",
		"http://example.com//a//b/":                   "POST //a//b/ HTTP/1.1|Host: example.com",
		"http://example.com/a%2Fb%2fc/%7Ed/~e":        "POST /a%2Fb%2fc/%7Ed/~e HTTP/1.1|Host: example.com",
		"http://example.com/a;b,c=d@e:f!$&'()*+":      "POST /a;b,c=d@e:f!$&'()*+ HTTP/1.1|Host: example.com",
		"http://example.com/h?a=b&c&d=%2F+%20&&=?/":   "POST /h?a=b&c&d=%2F+%20&&=?/ HTTP/1.1|Host: example.com",
		"http://example.com/h?b=1&a=2&b=0":            "POST /h?b=1&a=2&b=0 HTTP/1.1|Host: example.com",
		"http://example.com/ä?ö=ü":                    "POST /%C3%A4?ö=ü HTTP/1.1|Host: example.com",
		"http://example.com/a%20b":                    "POST /a%20b HTTP/1.1|Host: example.com",
		"http://user:pass@example.com/h#part":         "POST /h HTTP/1.1|Host: example.com",
		"http://[::1]:8080/h":                         "POST /h HTTP/1.1|Host: [::1]:8080",
		"http://[fe80::1%25eth0]:8080/h":              "POST /h HTTP/1.1|Host: [fe80::1]:8080",
		"http://bücher.example:81/h":                  "POST /h HTTP/1.1|Host: xn--bcher-kva.example:81",
		"https://example.com/http://other.example/?x": "POST /http://other.example/?x HTTP/1.1|Host: example.com",
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		for _, absolute := range []bool{false, true} {
			got, err := prelude(u, absolute)
			if err != nil {
				t.Errorf("%s: %v", target, err)
				continue
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("User-Agent", UserAgent)
			var theirs bytes.Buffer
			if absolute {
				err = r.WriteProxy(&theirs)
			} else {
				err = r.Write(&theirs)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(theirs.String(), string(got)) {
				t.Errorf("%s: got %q, net/http %q", target, got, theirs.String())
			}
			lines := strings.Split(string(got), "\r\n")
			if line := strings.Join(lines[:2], "|"); !absolute && line != want {
				t.Errorf("%s: got %s, want %s", target, line, want)
			}
		}
	}
	for _, u := range []*url.URL{
		{Scheme: "http", Host: "example.com", Path: "/", RawQuery: "a\r\nX-B: c"},
		{Scheme: "http", Host: "example.com\r\nX-B: c", Path: "/"},
		{Scheme: "http", Host: "example.com", Opaque: "a\r\nX-B: c"},
	} {
		if got, err := prelude(u, false); err == nil {
			t.Errorf("%+v: %q", u, got)
		}
	}
}

func TestAddress(t *testing.T) {
	for target, want := range map[string]string{
		"http://example.com":              "example.com:80",
		"https://example.com/":            "example.com:443",
		"https://example.com:8443":        "example.com:8443",
		"http://[::1]":                    "[::1]:80",
		"http://[fe80::1%25eth0]:81":      "[fe80::1%eth0]:81",
		"http://bücher.example":           "xn--bcher-kva.example:80",
		"socks5://proxy.example":          "proxy.example:1080",
		"https://user:pa:ss@10.0.0.1:1/2": "10.0.0.1:1",
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := address(u); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", target, got, err, want)
		}
	}
}

// No header may come twice: what a request sets itself, nothing else may set.
func TestOwnHeadersAreReserved(t *testing.T) {
	c := destination(t, "http://user:pass@example.com/")
	c.Secret = secret
	s := open(t, c).(*httpSender)
	d := delivery()
	d.Replay = "rpl_1"
	x := newExchange()
	defer x.free()
	if err := s.request(x, d, ""); err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(x.out), "\r\n\r\n")
	if body != string(d.Body) {
		t.Errorf("body is %q", body)
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, _, _ := strings.Cut(line, ":")
		if !event.ReservedHeader(name) || seen[name] || name != http.CanonicalHeaderKey(name) {
			t.Errorf("%q is not reserved, or there twice, or not in canonical spelling", name)
		}
		seen[name] = true
	}
	for _, name := range []string{sign.HeaderHMAC, sign.HeaderStandard, sign.HeaderID, sign.HeaderTimestamp, "Content-Length", "Host"} {
		if !seen[http.CanonicalHeaderKey(name)] {
			t.Errorf("%s is not there", name)
		}
	}
}

// Head and body are one write up to a size, and the body goes out untouched
// beyond it.
func TestLargeBodyIsNotCopied(t *testing.T) {
	s := open(t, destination(t, "http://example.com/")).(*httpSender)
	x := newExchange()
	defer x.free()
	d := delivery()
	for _, size := range []int{0, 1, maxJoined - 1000, maxJoined, maxJoined + 1, 1 << 20} {
		d.Body = bytes.Repeat([]byte("x"), size)
		x.apart = nil
		if err := s.request(x, d, ""); err != nil {
			t.Fatal(err)
		}
		if len(x.out) > maxJoined || x.apart != nil && &x.apart[0] != &d.Body[0] || (x.apart == nil) != (size < maxJoined-500) {
			t.Errorf("%d: %d bytes in one piece, %d apart", size, len(x.out), len(x.apart))
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	c := destination(b, "http://example.com/hooks")
	c.Secret = secret
	s := open(b, c).(*httpSender)
	d := delivery()
	d.Body = bytes.Repeat([]byte("x"), 1<<10)
	x := newExchange()
	defer x.free()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.request(x, d, ""); err != nil {
			b.Fatal(err)
		}
	}
}
