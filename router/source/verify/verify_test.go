package verify

import (
	"net/http"
	"slices"
	"strings"
	"testing"

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

func check(t *testing.T, s Scheme, secrets []string, cases []signed) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := s.Verify(&Request{Header: c.header, Body: []byte(c.body)})
			if c.code == "" {
				if p != nil {
					t.Fatalf("refused: %v", p)
				}
				return
			}
			if p == nil {
				t.Fatal("taken")
			}
			if p.Code != c.code || p.Status != http.StatusUnauthorized {
				t.Errorf("refused with %d %s, want 401 %s", p.Status, p.Code, c.code)
			}
			for _, secret := range secrets {
				if strings.Contains(p.Detail, secret) {
					t.Errorf("the problem shows a secret: %s", p.Detail)
				}
			}
		})
	}
}

func field(name, value string) []event.Field {
	return []event.Field{{Name: "host", Value: "example.com"}, {Name: name, Value: value}}
}

func TestKinds(t *testing.T) {
	if got := Kinds(); !slices.Equal(got, []string{"github", "hmac", "none"}) {
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
		if got := s.Sign(&Request{}); got != nil {
			t.Errorf("signs with %v", got)
		}
	}
}

// Whatever Sign makes must pass Verify, and no longer once a byte differs.
func TestSignThenVerify(t *testing.T) {
	secrets := []string{"first", "second"}
	for name, o := range map[string]struct {
		kind string
		Options
	}{
		"github":        {"github", Options{Secrets: secrets}},
		"hmac":          {"hmac", Options{Secrets: secrets, Header: "X-Sig"}},
		"sha1 base64":   {"hmac", Options{Secrets: secrets, Header: "X-Sig", Algorithm: "sha1", Encoding: "base64"}},
		"sha512 prefix": {"hmac", Options{Secrets: secrets, Header: "X-Sig", Algorithm: "sha512", Encoding: "hex", Prefix: "sha512="}},
	} {
		s := scheme(t, o.kind, o.Options)
		r := &Request{Body: []byte("body")}
		r.Header = s.Sign(r)
		if p := s.Verify(r); p != nil {
			t.Errorf("%s: own signature refused: %v", name, p)
		}
		onlyFirst := o.Options
		onlyFirst.Secrets = secrets[:1]
		if p := scheme(t, o.kind, onlyFirst).Verify(r); p != nil {
			t.Errorf("%s: not signed by the first secret: %v", name, p)
		}
		r.Body = []byte("Body")
		if p := s.Verify(r); p == nil || p.Code != "signature_mismatch" {
			t.Errorf("%s: other body: %v", name, p)
		}
	}
}

func FuzzVerify(f *testing.F) {
	github, err := New("github", Options{Secrets: []string{"s"}})
	if err != nil {
		f.Fatal(err)
	}
	base64, err := New("hmac", Options{Secrets: []string{"s"}, Header: "x-hub-signature-256", Encoding: "base64", Prefix: "p"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", []byte("Hello, World!"))
	f.Add("p====", []byte{})
	f.Add("sha256=", []byte("x"))
	f.Fuzz(func(t *testing.T, value string, body []byte) {
		for _, s := range []Scheme{github, base64} {
			r := &Request{Header: []event.Field{{Name: "x-hub-signature-256", Value: value}}, Body: body}
			if s.Verify(r) != nil {
				continue
			}
			want := s.Sign(r)[0].Value
			if !strings.EqualFold(strings.TrimRight(value, "="), strings.TrimRight(want, "=")) {
				t.Errorf("%q passes for %q", value, want)
			}
		}
	})
}
