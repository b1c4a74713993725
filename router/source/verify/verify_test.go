package verify

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
)

func scheme(t *testing.T, kind string, o Options) Scheme {
	t.Helper()
	s, err := New(kind, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signed is one request and the code of its refusal, empty where it is taken.
type signed struct {
	name   string
	header []event.Field
	body   string
	code   string
}

// signedAt is when the vectors that sign a time were signed.
const signedAt = 1614265330

func check(t *testing.T, s Scheme, secrets []string, cases []signed) {
	t.Helper()
	checkAt(t, s, secrets, time.Unix(signedAt, 0), "", cases)
}

// checkAt takes requests that were received at a time and an address.
func checkAt(t *testing.T, s Scheme, secrets []string, at time.Time, address string, cases []signed) {
	t.Helper()
	_, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := s.Verify(&Request{Header: c.header, Body: []byte(c.body), Time: at, URL: address, Query: values})
			if c.code == "" {
				if p != nil {
					t.Fatalf("refused: %v", p)
				}
				return
			}
			if p == nil {
				t.Fatal("taken")
			}
			want := http.StatusUnauthorized
			if _, ok := s.(*mailgun); ok {
				want = http.StatusNotAcceptable
			}
			if p.Code != c.code || p.Status != want {
				t.Errorf("refused with %d %s, want %d %s", p.Status, p.Code, want, c.code)
			}
			if !slices.Contains(Reasons, p.Code) {
				t.Errorf("%s is not among the reasons", p.Code)
			}
			for _, secret := range secrets {
				if strings.Contains(p.Error(), secret) {
					t.Errorf("the problem shows a secret: %s", p.Detail)
				}
			}
		})
	}
}

// window tries a request that was signed at signedAt around both ends of the
// default tolerance.
func window(t *testing.T, s Scheme, secrets []string, c signed) {
	t.Helper()
	for _, w := range []struct {
		name    string
		seconds int64
		code    string
	}{
		{"oldest", 300, ""}, {"stale", 301, "timestamp_too_old"}, {"a day old", 86400, "timestamp_too_old"},
		{"youngest", -300, ""}, {"future", -301, "timestamp_in_future"},
	} {
		c.name, c.code = w.name, w.code
		checkAt(t, s, secrets, time.Unix(signedAt+w.seconds, 0), "", []signed{c})
	}
}

// signedField makes tables short.
type signedField = event.Field

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// fields are headers: name, value, name, value.
func fields(list ...string) []event.Field {
	var f []event.Field
	for i := 0; i < len(list); i += 2 {
		f = append(f, event.Field{Name: list[i], Value: list[i+1]})
	}
	return f
}

func field(name, value string) []event.Field {
	return []event.Field{{Name: "host", Value: "example.com"}, {Name: name, Value: value}}
}

func TestKinds(t *testing.T) {
	if got := Kinds(); !slices.Equal(got, []string{"basic", "bearer", "github", "gitlab", "hmac", "mailgun", "none",
		"sendgrid", "shopify", "slack", "standard", "stripe", "token", "twilio"}) {
		t.Errorf("kinds are %v", got)
	}
}

func TestNewErrors(t *testing.T) {
	tests := []struct {
		kind string
		o    Options
		want string
	}{
		{"gitub", Options{}, "not known"},
		{"github", Options{}, "at least one"},
		{"github", Options{Secrets: []string{"a", ""}}, "number 2 is empty"},
		{"hmac", Options{Header: "x-sig"}, "at least one"},
		{"hmac", Options{Secrets: []string{"a"}}, "header"},
		{"hmac", Options{Secrets: []string{"a"}, Header: "x", Algorithm: "md5"}, `"md5"`},
		{"hmac", Options{Secrets: []string{"a"}, Header: "x", Encoding: "base32"}, `"base32"`},
		{"hmac", Options{Secrets: []string{"a"}, Header: "x", TimestampHeader: "X"}, "timestamp_header: "},
		{"stripe", Options{}, "at least one"},
		{"slack", Options{Secrets: []string{""}}, "number 1 is empty"},
		{"standard", Options{Secrets: []string{"plain", "whsec_!"}}, "secrets: number 2: what begins with whsec_"},
		{"standard", Options{Secrets: []string{"whpk_AAAA"}}, "no Ed25519 key"},
		{"standard", Options{Secrets: []string{"whsk_AAAA"}}, "no Ed25519 key"},
		{"sendgrid", Options{Secrets: []string{ecdsaPublic, "hunter2"}}, "secrets: number 2"},
		{"sendgrid", Options{Secrets: []string{ecdsaPublic[:40]}}, "secrets: number 1"},
		{"basic", Options{Secrets: []string{"a"}}, "username: "},
		{"basic", Options{Secrets: []string{"a"}, Username: "a:b"}, "username: "},
		{"basic", Options{Username: "a"}, "password: "},
		{"token", Options{Secrets: []string{"a"}}, "header: "},
		{"bearer", Options{}, "at least one"},
	}
	for _, tt := range tests {
		if _, err := New(tt.kind, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %+v: got %v, want something with %s", tt.kind, tt.o, err, tt.want)
		}
	}
}

func TestNoneTakesEverything(t *testing.T) {
	for _, kind := range []string{"", "none"} {
		s := scheme(t, kind, Options{})
		check(t, s, nil, []signed{{name: "anything", body: "x"}})
		r := &Request{}
		if err := s.Sign(r); err != nil || r.Header != nil {
			t.Errorf("signs with %v, %v", r.Header, err)
		}
	}
}

// ecdsaPrivate and ecdsaOther were made by openssl for these tests.
const (
	ecdsaPrivate = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgupTID1l5SzKhqUNDm5Y6V6EbF/OnNKFEnEFFhXUBR3ehRANCAARICIwvyJKJw9fU/ifxgFtCVoSEeiHHRwj9Z8kqb6fh9dFuv4FMhrdaL871OcsO8g9P+38apjTdamHCVw/0Aqag"
	ecdsaPublic  = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESAiML8iSicPX1P4n8YBbQlaEhHohx0cI/WfJKm+n4fXRbr+BTIa3Wi/O9TnLDvIPT/t/GqY03WphwlcP9AKmoA=="
	ecdsaOther   = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPB+PJal0qsVWk2r2URoQCZnYQc9mrWm5nCS0osZvPD2hRANCAAQE2hccztQyWRdozxvaFEtOoiNA48fDIgBy3Tcc0I1YcnvNLKDYAHIvKo4gDRjoj2ycNkIRFp6PVKjFjZZ2RCZW"
)

// configured are all presets that sign, each with two secrets.
func configured() map[string]Options {
	two := []string{"first-secret", "second-secret"}
	return map[string]Options{
		"basic": {Username: "user", Secrets: two}, "bearer": {Secrets: two}, "github": {Secrets: two}, "gitlab": {Secrets: two},
		"hmac": {Secrets: two, Header: "X-Sig", TimestampHeader: "X-Time"}, "mailgun": {Secrets: two}, "sendgrid": {Secrets: []string{ecdsaPrivate, ecdsaOther}},
		"shopify": {Secrets: two}, "slack": {Secrets: two}, "standard": {Secrets: []string{"whsec_Zmlyc3Q=", "whsec_c2Vjb25k"}}, "stripe": {Secrets: two},
		"token": {Secrets: two, Header: "X-Token"}, "twilio": {Secrets: two},
	}
}

// unsigned are the presets whose credentials are the same for every body.
var unsigned = []string{"basic", "bearer", "gitlab", "token", "mailgun"}

func freshRequest(body string) *Request {
	return &Request{
		Header: fields("content-type", "application/json"), Body: []byte(body), Time: time.Unix(signedAt, 0),
		URL: "https://hooks.example.com/in/s?a=1", Query: url.Values{"a": {"1"}},
	}
}

// Whatever Sign makes must pass Verify, under either secret while it rolls, and
// no longer once a byte or all secrets differ.
func TestSignThenVerify(t *testing.T) {
	all := configured()
	for _, kind := range Kinds() {
		o, ok := all[kind]
		if !ok && kind != "none" {
			t.Errorf("%s is not tested", kind)
		}
		if !ok {
			continue
		}
		s := scheme(t, kind, o)
		r := freshRequest(`{"a":1}`)
		if err := s.Sign(r); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		rolled := o
		rolled.Secrets = []string{o.Secrets[1], o.Secrets[0]}
		first := o
		first.Secrets = o.Secrets[:1]
		for _, o := range []Options{o, rolled, first} {
			if p := scheme(t, kind, o).Verify(r); p != nil {
				t.Errorf("%s: its own signature is refused: %v", kind, p)
			}
		}
		other := o
		other.Secrets = o.Secrets[1:]
		if p := scheme(t, kind, other).Verify(r); p == nil || !strings.HasSuffix(p.Code, "_mismatch") {
			t.Errorf("%s: another secret: %v", kind, p)
		}
		if !slices.Contains(unsigned, kind) {
			r.Body = []byte(`{"a":2}`)
			if p := s.Verify(r); p == nil || p.Code != "signature_mismatch" {
				t.Errorf("%s: another body: %v", kind, p)
			}
		}
		bare := freshRequest(`{"a":1}`)
		if p := s.Verify(bare); p == nil || !strings.HasSuffix(p.Code, "_missing") {
			t.Errorf("%s: nothing: %v", kind, p)
		}
	}
}

// A captured request must go stale where a time is signed, and be known again
// where none is.
func TestReplays(t *testing.T) {
	for kind, o := range configured() {
		for _, timed := range []bool{true, false} {
			if kind == "hmac" && !timed {
				o.TimestampHeader = ""
			}
			s := scheme(t, kind, o)
			r := freshRequest(`{"a":1}`)
			if err := s.Sign(r); err != nil {
				t.Fatal(err)
			}
			r.Time = r.Time.Add(time.Hour)
			p := s.Verify(r)
			if Find(kind).Timed(o) != (p != nil) || p != nil && p.Code != "timestamp_too_old" {
				t.Errorf("%s: an hour later: %v", kind, p)
			}
			if p != nil {
				continue
			}
			if known, ok := s.(Signed); ok {
				if len(known.Signature(r)) < 20 {
					t.Errorf("%s: the signature is %x", kind, known.Signature(r))
				}
			} else if !slices.Contains(unsigned, kind) && kind != "twilio" {
				t.Errorf("%s: a captured request can be sent again and is not known", kind)
			}
		}
	}
}

// FuzzVerify gives every scheme any headers: none panics, and what is taken is
// what the secret signs.
func FuzzVerify(f *testing.F) {
	f.Add("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", "1614265330", []byte("Hello, World!"))
	f.Add("p====", "", []byte{})
	f.Add("t=1614265330,v1=00,v1=,=,v0", "-1", []byte(`{"signature":{"timestamp":1,"token":"a","signature":"00"}}`))
	f.Add("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,AA== v2", "1614265330", []byte("a=1&a=2&b=%"))
	f.Add("v0=00", "99999999999999999999", []byte("timestamp=1&token=2&signature=3"))
	f.Add("Basic Zmlyc3Q6c2Vjb25k", "Bearer x", []byte{0xff})
	f.Add("MEUCIQ", "1614265330", []byte("[]"))
	schemes := map[string]Scheme{}
	for kind, o := range configured() {
		s, err := New(kind, o)
		if err != nil {
			f.Fatal(err)
		}
		schemes[kind] = s
	}
	plain, err := New("hmac", Options{Secrets: []string{"s"}, Header: "X-Sig", Encoding: "base64", Prefix: "p"})
	if err != nil {
		f.Fatal(err)
	}
	schemes["hmac base64"] = plain
	signatures := []string{
		"x-hub-signature-256", "x-sig", "stripe-signature", "x-shopify-hmac-sha256", "x-slack-signature", "x-twilio-signature", "webhook-signature",
		"x-gitlab-token", "x-twilio-email-event-webhook-signature", "authorization", "x-token",
	}
	times := []string{"x-time", "x-slack-request-timestamp", "webhook-timestamp", "x-twilio-email-event-webhook-timestamp"}
	f.Fuzz(func(t *testing.T, value, timestamp string, body []byte) {
		r := &Request{Body: body, Time: time.Unix(signedAt, 0), URL: "https://h.example.com/" + timestamp, Query: url.Values{"bodySHA256": {timestamp}}}
		for _, name := range signatures {
			r.Header = append(r.Header, event.Field{Name: name, Value: value})
		}
		for _, name := range times {
			r.Header = append(r.Header, event.Field{Name: name, Value: timestamp})
		}
		r.Header = append(r.Header, fields("webhook-id", "msg_1", "content-type", "application/x-www-form-urlencoded")...)
		for kind, s := range schemes {
			p := s.Verify(r)
			if p != nil {
				if !slices.Contains(Reasons, p.Code) || p.Status != 401 && p.Status != 406 {
					t.Fatalf("%s: %v", kind, p)
				}
				if known, ok := s.(Signed); ok {
					known.Signature(r)
				}
				continue
			}
			if slices.Contains(unsigned, kind) {
				if !strings.Contains(value, "-secret") && kind != "basic" && kind != "mailgun" {
					t.Errorf("%s: %q passes", kind, value)
				}
				continue
			}
			own := &Request{Header: slices.Clone(r.Header), Body: body, Time: r.Time, URL: r.URL, Query: r.Query}
			if err := s.Sign(own); err != nil {
				t.Fatal(err)
			}
			if p := s.Verify(own); p != nil {
				t.Errorf("%s: %q passes for %q, its own does not: %v", kind, value, body, p)
			}
		}
	})
}
