package sign

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A pair of keys as Svix makes them, and its signature of the message that
// Standard Webhooks publishes.
const (
	vectorPrivate    = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	vectorPublic     = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	vectorAsymmetric = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

func TestEd25519Vector(t *testing.T) {
	s := standard(t, vectorSecret)
	if err := s.AddKeys(vectorPrivate); err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	s.Sign(h, vector())
	if got, want := h.Get(HeaderStandard), vectorValue+" "+vectorAsymmetric; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := string(s.AppendField(nil, vector())); got != "Webhook-Signature: "+vectorValue+" "+vectorAsymmetric+"\r\n" {
		t.Errorf("the line is %q", got)
	}
	public, err := PublicKey(vectorPrivate)
	if err != nil || public != vectorPublic {
		t.Errorf("the public key is %q, %v", public, err)
	}
	// The seed alone is the same key.
	seed := "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
	if public, err := PublicKey(seed); err != nil || public != vectorPublic {
		t.Errorf("the public key of the seed is %q, %v", public, err)
	}
}

func TestEd25519Verify(t *testing.T) {
	s := standard(t)
	if err := s.AddPublicKeys(vectorPublic); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(vectorTime, 0)
	for _, c := range []struct {
		name, signatures, body string
		want                   error
	}{
		{"good", vectorAsymmetric, vectorBody, nil},
		{"one of several", "v1,AAAA " + vectorAsymmetric, vectorBody, nil},
		{"other body", vectorAsymmetric, vectorBody + " ", ErrMismatch},
		{"as v1", "v1" + vectorAsymmetric[3:], vectorBody, ErrMismatch},
		{"cut off", vectorAsymmetric[:40], vectorBody, ErrMismatch},
		{"no base64", "v1a,?", vectorBody, ErrMismatch},
		{"empty", "v1a,", vectorBody, ErrMismatch},
		{"behind many others", strings.Repeat("v1a,AAAA ", maxSignatures) + vectorAsymmetric, vectorBody, ErrMismatch},
	} {
		if err := s.Verify(vectorID, "1614265330", c.signatures, []byte(c.body), now, time.Minute); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if got := s.Signature(vector()); got != "" {
		t.Errorf("a public key signs: %q", got)
	}
}

func TestEd25519KeyErrors(t *testing.T) {
	for _, key := range []string{
		"", vectorPublic, vectorSecret, "whsk_", "whsk_?", "whsk_AAAA",
		"whsk_" + strings.Repeat("A", 43) + "=" + "A",
		"whsk_" + strings.Repeat("A", 86) + "==", // the halves do not belong together
	} {
		err := standard(t).AddKeys(key)
		if err == nil {
			t.Errorf("%q was taken", key)
			continue
		}
		if rest := strings.TrimPrefix(key, "whsk_"); len(rest) > 4 && strings.Contains(err.Error(), rest) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	for _, key := range []string{"", vectorPrivate, "whpk_", "whpk_AAAA"} {
		if err := standard(t).AddPublicKeys(key); err == nil {
			t.Errorf("%q was taken", key)
		}
	}
}
