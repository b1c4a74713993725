package guard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// names answers look-ups; a name that is not there does not resolve.
type names map[string][]string

func (n names) lookup(_ context.Context, name string) ([]netip.Addr, error) {
	list, ok := n[name]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	var found []netip.Addr
	for _, s := range list {
		found = append(found, netip.MustParseAddr(s))
	}
	return found, nil
}

func prefixes(list ...string) (p []netip.Prefix) {
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

var resolver = names{
	"public.example":  {"93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"},
	"private.example": {"10.1.2.3"},
	"mapped.example":  {"::ffff:10.1.2.3"},
	"both.example":    {"10.1.2.3", "93.184.215.14"},
	"empty.example":   {},
	"xn--bcher-kva.example": {
		"93.184.215.14",
	},
}

func TestCheckURL(t *testing.T) {
	strict := Rules{}
	for _, c := range []struct {
		name string
		rule Rules
		url  string
		want string // a part of the error; empty: allowed
	}{
		{"public name", strict, "https://public.example/hooks", ""},
		{"public address", strict, "https://93.184.215.14/", ""},
		{"public IPv6", strict, "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", ""},
		{"name that does not resolve", strict, "https://nobody.example/", ""},
		{"name without addresses", strict, "https://empty.example/", ""},
		{"name in Unicode", strict, "https://bücher.example/", ""},
		{"port 443 written", strict, "https://public.example:443/", ""},
		{"name with one private address", strict, "https://both.example/", ""},
		{"name like a number", strict, "https://127.0.0.1.public.example/", ""},

		{"private by name", strict, "https://private.example/", "private"},
		{"private by mapped address", strict, "https://mapped.example/", "private"},
		{"http", strict, "http://public.example/", "not http"},
		{"ftp", strict, "ftp://public.example/", `only https is allowed, not "ftp"`},
		{"file", strict, "file:///etc/passwd", `not "file"`},
		{"port", strict, "https://public.example:8443/", "port 8443"},
		{"port of a name that does not resolve", strict, "https://nobody.example:22/", "port 22"},
		{"port 0", strict, "https://public.example:0/", "no port"},
		{"port beyond", strict, "https://public.example:65536/", "no port"},
		{"port 80", strict, "https://public.example:80/", "port 80"},
		{"no host", strict, "https:///x", "no name"},

		{"http allowed", Rules{AllowHTTP: true}, "http://public.example/", ""},
		{"port 80 with it", Rules{AllowHTTP: true}, "https://public.example:80/", ""},
		{"no other port with it", Rules{AllowHTTP: true}, "http://public.example:8080/", "port 8080"},
		{"loopback with it", Rules{AllowHTTP: true}, "http://127.0.0.1/", "loopback"},
		{"allowed port", Rules{AllowPorts: []uint16{8443}}, "https://public.example:8443/", ""},
		{"another port", Rules{AllowPorts: []uint16{8443}}, "https://public.example:8444/", "port 8444"},
		{"allowed port of a private address", Rules{AllowPorts: []uint16{8443}}, "https://10.0.0.1:8443/", "private"},
		{"allowed network", Rules{AllowNetworks: prefixes("10.0.0.0/8")}, "https://10.0.0.1:9000/", ""},
		{"allowed network by name", Rules{AllowNetworks: prefixes("10.0.0.0/8")}, "https://private.example:9000/", ""},
		{"allowed network, mapped", Rules{AllowNetworks: prefixes("10.0.0.0/8")}, "https://[::ffff:10.0.0.1]:9000/", ""},
		{"allowed network that is written mapped", Rules{AllowNetworks: prefixes("::ffff:10.0.0.0/104")}, "https://10.0.0.1:9000/", ""},
		{"allowed network with bits behind", Rules{AllowNetworks: prefixes("10.9.9.9/8")}, "https://10.0.0.1/", ""},
		{"allowed network by localhost", Rules{AllowNetworks: prefixes("127.0.0.0/8")}, "https://localhost:9000/", ""},
		{"another network", Rules{AllowNetworks: prefixes("10.0.0.0/8")}, "https://192.168.0.1/", "private"},
		{"port outside of the network", Rules{AllowNetworks: prefixes("10.0.0.0/8")}, "https://public.example:9000/", "port 9000"},
		{"http inside of the network", Rules{AllowNetworks: prefixes("10.0.0.0/8")}, "http://10.0.0.1/", "not http"},
		{"unresolved name, perhaps of the network", Rules{AllowNetworks: prefixes("10.0.0.0/8")}, "https://nobody.example:9000/", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.rule.Lookup = resolver.lookup
			u, err := url.Parse(c.url)
			if err != nil {
				t.Fatal(err)
			}
			err = New(c.rule).CheckURL(t.Context(), u)
			var b *Blocked
			switch {
			case c.want == "" && err != nil:
				t.Errorf("blocked: %v", err)
			case c.want != "" && (!errors.As(err, &b) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "10.1.2.3") {
				t.Errorf("the error tells the address: %v", err)
			}
		})
	}
}

// Each range, by its first and last address and, where it has edges, those beside
// it. The kinds are words that docs and problems show.
func TestRefusedRanges(t *testing.T) {
	for _, c := range []struct{ address, kind string }{
		{"0.0.0.0", "of this network"}, {"0.255.255.255", "of this network"}, {"1.0.0.0", ""},
		{"9.255.255.255", ""}, {"10.0.0.0", private}, {"10.255.255.255", private}, {"11.0.0.0", ""},
		{"100.63.255.255", ""}, {"100.64.0.0", "carrier"}, {"100.127.255.255", "carrier"}, {"100.128.0.0", ""},
		{"100.100.100.200", metadata}, {"168.63.129.16", metadata}, {"168.63.129.17", ""},
		{"126.255.255.255", ""}, {"127.0.0.0", loopback}, {"127.255.255.255", loopback}, {"128.0.0.0", ""},
		{"169.253.255.255", ""}, {"169.254.0.0", linkLocal}, {"169.254.255.255", linkLocal}, {"169.255.0.0", ""},
		{"169.254.169.254", metadata}, {"169.254.170.2", metadata},
		{"172.15.255.255", ""}, {"172.16.0.0", private}, {"172.31.255.255", private}, {"172.32.0.0", ""},
		{"192.0.0.1", reserved}, {"192.0.0.192", metadata}, {"192.0.1.0", ""}, {"192.0.2.1", documentation},
		{"192.88.99.1", "6to4"}, {"192.167.255.255", ""}, {"192.168.0.0", private}, {"192.168.255.255", private}, {"192.169.0.0", ""},
		{"198.17.255.255", ""}, {"198.18.0.0", "benchmarks"}, {"198.19.255.255", "benchmarks"}, {"198.20.0.0", ""},
		{"198.51.100.7", documentation}, {"203.0.113.7", documentation},
		{"223.255.255.255", ""}, {"224.0.0.0", multicast}, {"239.255.255.255", multicast},
		{"240.0.0.0", reserved}, {"255.255.255.255", reserved}, {"8.8.8.8", ""},

		{"::", "unspecified"}, {"::1", loopback}, {"::7f00:1", "IPv4"}, {"::ffff:8.8.8.8", "IPv4"},
		{"64:ff9b::7f00:1", "NAT64"}, {"64:ff9b::808:808", "NAT64"}, {"64:ff9b:1::1", "NAT64"}, {"64:ff9b:2::1", reserved},
		{"100::1", reserved}, {"1fff::1", reserved}, {"2001::1", "Teredo"}, {"2001:1::1", reserved}, {"2001:1ff:ffff::", reserved},
		{"2001:200::1", ""}, {"2001:db8::1", documentation}, {"2002:7f00:1::", "6to4"}, {"2002:808:808::1", "6to4"}, {"2003::1", ""},
		{"3fff::1", documentation}, {"3fff:1000::1", ""}, {"4000::1", reserved}, {"5f00::1", reserved},
		{"fc00::1", private}, {"fdff::1", private}, {"fd00:ec2::254", metadata}, {"fd20:ce::254", metadata},
		{"fe80::1", linkLocal}, {"febf::1", linkLocal}, {"fec0::1", private}, {"ff02::1", multicast},
		{"2606:4700:4700::1111", ""},
	} {
		got := refused(netip.MustParseAddr(c.address))
		if c.kind == "" && got != "" || !strings.Contains(got, c.kind) {
			t.Errorf("%s is %q, want %q", c.address, got, c.kind)
		}
	}
}

// Whatever some resolver or browser takes for an internal address is refused at
// registration, and not even looked up at an attempt.
func TestSpellings(t *testing.T) {
	g := New(Rules{Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
		t.Errorf("%q was looked up", name)
		return nil, errors.New("looked up")
	}})
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "0x7f.1", "0X7F.0.0.1", "0x7f000001", "2130706433", "0177.0.0.1",
		"017700000001", "0177.0x0.0.01", "00000000177.0.0.1", "0x7f.0.0.0x1", "127.0.0.0x1", "0", "0.0.0.0", "0x", "0x.0x.0x.0x",
		"１２７.０.０.１", "127。0。0。1", "１２７。1", "⑫7.0.0.1",
		"[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[0:0:0:0:0:ffff:7f00:0001]",
		"[::FFFF:10.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:0001::]", "[fd00:ec2::254]", "[fe80::1%25eth0]", "[fe80::1]",
		"[2606:4700:4700::1111%25eth0]", "[::ffff:8.8.8.8]",
		"169.254.169.254", "0xa9fea9fe", "2852039166", "025177524776", "169.254.43518", "10.1", "192.168.257",
		"localhost", "LOCALHOST", "localhost.", "a.localhost",
		// No addresses, and no names either.
		"256.0.0.1", "1.2.3.4.5", "4294967296", "0x100000000", "example.1", "127.0.0.1.0x7f", "08.1.1.1", "1..1", "127.0.0.999",
	} {
		u, err := url.Parse("https://" + host + "/")
		if err != nil {
			continue // nobody can register it
		}
		var b *Blocked
		if err := g.CheckURL(t.Context(), u); !errors.As(err, &b) {
			t.Errorf("%s passes at registration: %v", host, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if c, err := g.Dial(ctx, u); !errors.As(err, &b) {
			t.Errorf("%s is dialled: %v, %v", host, c, err)
		}
		cancel()
	}
	// The same spellings of a public address are that address.
	for _, host := range []string{"8.8.8.8", "134744072", "0x8.8.8.8", "010.8.8.8", "8.8.8.8.", "8.526344"} {
		got, err := g.Resolve(t.Context(), &url.URL{Scheme: "https", Host: host})
		if err != nil || len(got) != 1 || got[0].String() != "8.8.8.8:443" {
			t.Errorf("%s is %v, %v", host, got, err)
		}
	}
}

// A name whose addresses change between registration and attempt, and between
// two look-ups, is judged by what is dialled.
func TestRebinding(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan struct{}, 1)
	go func() {
		if c, err := listener.Accept(); err == nil {
			c.Close()
			accepted <- struct{}{}
		}
	}()
	_, p, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(n)

	lookups := 0
	answers := []string{"93.184.215.14", "127.0.0.1"}
	g := New(Rules{AllowPorts: []uint16{port}, Lookup: func(context.Context, string) ([]netip.Addr, error) {
		a := answers[min(lookups, len(answers)-1)]
		lookups++
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}})
	u := &url.URL{Scheme: "https", Host: "rebinds.example:" + p}
	if err := g.CheckURL(t.Context(), u); err != nil {
		t.Fatalf("at registration: %v", err)
	}
	var b *Blocked
	if _, err := g.Dial(t.Context(), u); !errors.As(err, &b) || !strings.Contains(err.Error(), loopback) {
		t.Errorf("at the attempt: %v", err)
	}
	if lookups != 2 {
		t.Errorf("%d look-ups, want one for each", lookups)
	}
	select {
	case <-accepted:
		t.Error("the address was dialled")
	default:
	}

	// The same is dialled where its network is allowed.
	open := New(Rules{AllowNetworks: prefixes("127.0.0.0/8"), Lookup: g.rules.Lookup})
	c, err := open.Dial(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-accepted
}

// Of several addresses the next one is tried, and what is not allowed is not.
func TestDialTriesEachAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	to := netip.MustParseAddrPort(listener.Addr().String())
	g := New(Rules{AllowNetworks: prefixes("127.0.0.0/8"), Lookup: names{"many.example": {"10.0.0.1", "127.0.0.2", "127.0.0.1"}}.lookup})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := g.Dial(ctx, &url.URL{Scheme: "https", Host: net.JoinHostPort("many.example", strconv.Itoa(int(to.Port())))}) // nobody listens at 127.0.0.2
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != to.String() {
		t.Errorf("connected to %s", c.RemoteAddr())
	}
}

func TestLookupErrorsPass(t *testing.T) {
	failed := &net.DNSError{Err: "server misbehaving", Name: "x.example", IsTemporary: true}
	g := New(Rules{Lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, failed }})
	if err := g.CheckURL(t.Context(), &url.URL{Scheme: "https", Host: "x.example"}); err != nil {
		t.Errorf("at registration: %v", err)
	}
	var dns *net.DNSError
	if _, err := g.Dial(t.Context(), &url.URL{Scheme: "https", Host: "x.example"}); !errors.As(err, &dns) {
		t.Errorf("at the attempt: %v", err)
	}
}

func TestInside(t *testing.T) {
	g := New(Rules{AllowNetworks: prefixes("127.0.0.0/8", "fd00::/8")})
	for a, want := range map[string]bool{
		"127.0.0.1": true, "::ffff:127.0.0.1": true, "fd00::1": true, "fd00::1%eth0": false, "10.0.0.1": false, "::1": false,
	} {
		if got := g.Inside(netip.MustParseAddr(a)); got != want {
			t.Errorf("Inside(%s) is %v", a, got)
		}
	}
}

// FuzzParseHost: what is a name has nothing in it that a resolver takes for an
// address.
func FuzzParseHost(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "0x7f.1", "a.b", "::1", "fe80::1%x", "１.1", "xn--x", "a..b", "1.", ".", "%31"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name, literal, err := parseHost(host)
		if err != nil {
			return
		}
		if (name == "") != literal.IsValid() {
			t.Fatalf("%q is the name %q and the address %v", host, name, literal)
		}
		if name == "" {
			return
		}
		if _, err := netip.ParseAddr(name); err == nil {
			t.Fatalf("%q is the name %q, which is an address", host, name)
		}
		if again, _, err := parseHost(name); err != nil || again != name && again+"." != name {
			t.Fatalf("%q is the name %q, and that is %q, %v", host, name, again, err)
		}
	})
}
