package sign

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// The vector that Standard Webhooks publishes.
const (
	vectorSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTime   = 1614265330
	vectorBody   = `{"test": 2432232314}`
	vectorValue  = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func vector() Message {
	return Message{ID: vectorID, Time: time.Unix(vectorTime, 999), Body: []byte(vectorBody)}
}

func standard(t *testing.T, secrets ...string) *Standard {
	t.Helper()
	s, err := NewStandard(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStandardVector(t *testing.T) {
	h := http.Header{}
	standard(t, vectorSecret).Sign(h, vector())
	for name, want := range map[string]string{
		HeaderID: vectorID, HeaderTimestamp: "1614265330", HeaderStandard: vectorValue,
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// The key of any other secret is its literal bytes: the base64 after whsec_ as a
// plain secret must give another signature than with the prefix.
func TestStandardLiteralSecret(t *testing.T) {
	plain := standard(t, strings.TrimPrefix(vectorSecret, "whsec_")).Signature(vector())
	if plain == vectorValue {
		t.Error("a secret without whsec_ was decoded")
	}
}

func TestStandardSecretErrors(t *testing.T) {
	for _, secret := range []string{"whsec_", "whsec_not base64!", "whsec_===="} {
		_, err := NewStandard(secret)
		if err == nil {
			t.Errorf("%q was taken", secret)
			continue
		}
		if rest := strings.TrimPrefix(secret, "whsec_"); rest != "" && strings.Contains(err.Error(), rest) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	padded, unpadded := standard(t, "whsec_c2VjcmV0IQ==").Signature(vector()), standard(t, "whsec_c2VjcmV0IQ").Signature(vector())
	if padded != unpadded {
		t.Error("padding changes the key")
	}
}

func TestStandardVerify(t *testing.T) {
	now := time.Unix(vectorTime, 0)
	tests := []struct {
		name                      string
		id, timestamp, signatures string
		body                      string
		now                       time.Time
		want                      error
	}{
		{"good", vectorID, "1614265330", vectorValue, vectorBody, now, nil},
		{"one of several", vectorID, "1614265330", "v1,AAAA " + vectorValue + " v1a,BBBB", vectorBody, now, nil},
		{"at the edge, old", vectorID, "1614265330", vectorValue, vectorBody, now.Add(5 * time.Minute), nil},
		{"old", vectorID, "1614265330", vectorValue, vectorBody, now.Add(5*time.Minute + time.Second), ErrTimestamp},
		{"future", vectorID, "1614265330", vectorValue, vectorBody, now.Add(-5*time.Minute - time.Second), ErrTimestamp},
		{"other body", vectorID, "1614265330", vectorValue, vectorBody + " ", now, ErrMismatch},
		{"other id", "msg_other", "1614265330", vectorValue, vectorBody, now, ErrMismatch},
		{"other time", vectorID, "1614265331", vectorValue, vectorBody, now, ErrMismatch},
		{"no number", vectorID, "soon", vectorValue, vectorBody, now, ErrTimestamp},
		{"huge number", vectorID, "99999999999999999999", vectorValue, vectorBody, now, ErrTimestamp},
		{"no signature", vectorID, "1614265330", "", vectorBody, now, ErrMissing},
		{"no id", "", "1614265330", vectorValue, vectorBody, now, ErrMissing},
		{"version cut off", vectorID, "1614265330", vectorValue[3:], vectorBody, now, ErrMismatch},
		{"another version", vectorID, "1614265330", "v2" + vectorValue[2:], vectorBody, now, ErrMismatch},
	}
	s := standard(t, vectorSecret)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := s.Verify(tt.id, tt.timestamp, tt.signatures, []byte(tt.body), tt.now, 5*time.Minute)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if err := standard(t, "another secret").Verify(vectorID, "1614265330", vectorValue, []byte(vectorBody), now, 0); !errors.Is(err, ErrMismatch) {
		t.Errorf("another secret: got %v", err)
	}
}

// The vector is GitHub's: the scheme of X-Webhook-Signature is the same.
func TestHMACVector(t *testing.T) {
	const want = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	h := http.Header{}
	NewHMAC("It's a Secret to Everybody").Sign(h, Message{Body: []byte("Hello, World!")})
	if got := h.Get(HeaderHMAC); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHMACVerify(t *testing.T) {
	s := NewHMAC(vectorSecret)
	good := s.Signature([]byte("body"))
	tests := []struct {
		name, value, body string
		want              error
	}{
		{"good", good, "body", nil},
		{"missing", "", "body", ErrMissing},
		{"other body", good, "Body", ErrMismatch},
		{"upper case", strings.ToUpper(good), "body", ErrMismatch},
		{"no prefix", good[7:], "body", ErrMismatch},
		{"cut off", good[:20], "body", ErrMismatch},
		{"decoded key", NewHMAC("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").Signature([]byte("body")), "body", ErrMismatch},
	}
	for _, tt := range tests {
		if err := s.Verify(tt.value, []byte(tt.body)); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestHMACForms(t *testing.T) {
	const secret, body = "It's a Secret to Everybody", "Hello, World!"
	for _, c := range []struct {
		form         HMACForm
		header, want string
	}{
		{HMACForm{}, "X-Webhook-Signature", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		{HMACForm{Header: "x-hub-signature-256", Prefix: "sha256="}, "X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		{HMACForm{Header: "X-Shopify-Hmac-Sha256", Base64: true}, "X-Shopify-Hmac-Sha256", "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc="},
		{HMACForm{Base64: true, Prefix: "v0="}, "X-Webhook-Signature", "v0=dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc="},
	} {
		s := NewHMACIn(c.form, secret)
		h := http.Header{}
		s.Sign(h, Message{Body: []byte(body)})
		if got := h.Get(c.header); got != c.want || len(h) != 1 {
			t.Errorf("%+v gives %v", c.form, h)
		}
		if got := string(s.AppendField(nil, Message{Body: []byte(body)})); got != c.header+": "+c.want+"\r\n" {
			t.Errorf("%+v gives the line %q", c.form, got)
		}
		if err := s.Verify(c.want, []byte(body)); err != nil {
			t.Errorf("%+v: %v", c.form, err)
		}
		if err := s.Verify(c.want, []byte(body+"!")); !errors.Is(err, ErrMismatch) {
			t.Errorf("%+v takes another body: %v", c.form, err)
		}
	}
}

// While a secret is rotated a receiver with either one is served.
func TestSeveralSecrets(t *testing.T) {
	const old = "the old secret, with spaces"
	signers, err := ForSecret(vectorSecret, old)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for _, s := range signers {
		s.Sign(h, vector())
	}
	if got, want := h.Get(HeaderStandard), vectorValue+" "+standard(t, old).Signature(vector()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := h.Get(HeaderHMAC); got != NewHMAC(vectorSecret).Signature([]byte(vectorBody)) {
		t.Errorf("%s is %q, want the new secret's", HeaderHMAC, got)
	}
	for _, secret := range []string{vectorSecret, old} {
		err := standard(t, secret).Verify(vectorID, "1614265330", h.Get(HeaderStandard), []byte(vectorBody), time.Unix(vectorTime, 0), time.Minute)
		if err != nil {
			t.Errorf("a receiver with one of the secrets: %v", err)
		}
	}
	both := standard(t, "another", old)
	if err := both.Verify(vectorID, "1614265330", h.Get(HeaderStandard), []byte(vectorBody), time.Unix(vectorTime, 0), time.Minute); err != nil {
		t.Errorf("one of the receiver's secrets: %v", err)
	}
	if _, err := ForSecret(vectorSecret, "whsec_?"); err == nil {
		t.Error("a previous secret that can't be decoded was taken")
	}
}

func TestForSecret(t *testing.T) {
	none, err := ForSecret("")
	if err != nil || none != nil {
		t.Fatalf("no secret: %v, %v", none, err)
	}
	both, err := ForSecret(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for _, s := range both {
		s.Sign(h, vector())
	}
	if h.Get(HeaderStandard) != vectorValue || h.Get(HeaderHMAC) != NewHMAC(vectorSecret).Signature([]byte(vectorBody)) {
		t.Errorf("headers are %v", h)
	}
	if _, err := ForSecret("whsec_?"); err == nil {
		t.Error("a secret that can't be decoded was taken")
	}
}

// The line of a request and the header hold the same, whatever came before on
// the state that is used again.
func TestAppendField(t *testing.T) {
	signers, err := ForSecret(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{HeaderHMAC, HeaderStandard} {
		for _, body := range []string{vectorBody, "", vectorBody, strings.Repeat("x", 1000)} {
			m := vector()
			m.Body = []byte(body)
			h := http.Header{}
			signers[i].Sign(h, m)
			want := "before" + http.CanonicalHeaderKey(name) + ": " + h.Get(name) + "\r\n"
			if got := string(signers[i].AppendField([]byte("before"), m)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	m := vector()
	m.Body = []byte("another")
	if string(signers[1].AppendField(nil, m)) == string(signers[1].AppendField(nil, vector())) {
		t.Error("two bodies have one signature")
	}
}

func TestSignersAreSafeForConcurrentUse(t *testing.T) {
	signers, err := ForSecret(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				if got := string(signers[1].AppendField(nil, vector())); got != "Webhook-Signature: "+vectorValue+"\r\n" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	all.Wait()
}

func FuzzStandardVerify(f *testing.F) {
	f.Add(vectorID, "1614265330", vectorValue, []byte(vectorBody))
	f.Add("", "-1", "v1, ,v1", []byte{})
	s, err := NewStandard(vectorSecret)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, timestamp, signatures string, body []byte) {
		if s.Verify(id, timestamp, signatures, body, time.Unix(vectorTime, 0), time.Minute) != nil {
			return
		}
		// Only a signature that we would have made ourselves may pass.
		if !strings.Contains(signatures, s.signature(id, timestamp, body)) {
			t.Errorf("taken: %q %q %q", id, timestamp, signatures)
		}
	})
}
