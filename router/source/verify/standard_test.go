package verify

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// The vector is from the specification of Standard Webhooks.
const (
	standardSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	standardID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	standardBody      = `{"test": 2432232314}`
	standardSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func TestStandard(t *testing.T) {
	header := func(id, at, signature string) []signedField {
		return fields("Webhook-Id", id, "Webhook-Timestamp", at, "Webhook-Signature", signature)
	}
	good := header(standardID, "1614265330", standardSignature)
	other := "v1," + strings.Repeat("A", 43) + "="
	s := scheme(t, "standard", Options{Secrets: []string{"whsec_bmV3ZXI", standardSecret}})
	check(t, s, []string{standardSecret, standardSecret[6:]}, []signed{
		{"vector", good, standardBody, ""},
		{"svix", fields("svix-id", standardID, "svix-timestamp", "1614265330", "svix-signature", standardSignature), standardBody, ""},
		{"two while a secret rolls", header(standardID, "1614265330", other+" "+standardSignature), standardBody, ""},
		{"beside another version", header(standardID, "1614265330", "v2,AAAA "+standardSignature), standardBody, ""},
		{"beside a broken one", header(standardID, "1614265330", "v1,AAAA "+standardSignature+" v1,%"), standardBody, ""},
		{"a broken one beside another's", header(standardID, "1614265330", "v1,AAAA "+other), standardBody, "signature_mismatch"},
		{"a broken one and another version", header(standardID, "1614265330", "v1,AAAA v2,AAAA"), standardBody, "signature_malformed"},
		{"mixed names", fields("svix-id", standardID, "webhook-timestamp", "1614265330", "svix-signature", standardSignature), standardBody, "timestamp_missing"},
		{"tampered body", good, standardBody + " ", "signature_mismatch"},
		{"tampered id", header("msg_2", "1614265330", standardSignature), standardBody, "signature_mismatch"},
		{"tampered time", header(standardID, "1614265331", standardSignature), standardBody, "signature_mismatch"},
		{"missing", nil, standardBody, "signature_missing"},
		{"no id", fields("webhook-timestamp", "1614265330", "webhook-signature", standardSignature), standardBody, "signature_missing"},
		{"no time", fields("webhook-id", standardID, "webhook-signature", standardSignature), standardBody, "timestamp_missing"},
		{"no number", header(standardID, "2021-02-25", standardSignature), standardBody, "timestamp_malformed"},
		{"no version", header(standardID, "1614265330", standardSignature[3:]), standardBody, "signature_malformed"},
		{"cut off", header(standardID, "1614265330", standardSignature[:20]), standardBody, "signature_malformed"},
		{"only another version", header(standardID, "1614265330", "v2,AAAA"), standardBody, "signature_unsupported"},
		{"a pair's", header(standardID, "1614265330", "v1a,"+strings.Repeat("A", 86)), standardBody, "signature_mismatch"},
		{"very many", header(standardID, "1614265330", strings.Repeat(other+" ", 17)), standardBody, "signature_malformed"},
		{"spaces only", header(standardID, "1614265330", "  "), standardBody, "signature_malformed"},
	})
	window(t, s, nil, signed{header: good, body: standardBody})
	check(t, scheme(t, "standard", Options{Secrets: []string{"whsec_bmV3ZXI="}}), nil, []signed{{"wrong secret", good, standardBody, "signature_mismatch"}})
}

// The public key alone verifies what the private one signs, and can't sign.
func TestStandardPair(t *testing.T) {
	seed := []byte("0123456789abcdef0123456789abcdef")
	private := ed25519.NewKeyFromSeed(seed)
	public := "whpk_" + base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
	for _, secret := range []string{"whsk_" + base64.StdEncoding.EncodeToString(seed), "whsk_" + base64.StdEncoding.EncodeToString(private)} {
		r := freshRequest(standardBody)
		if err := scheme(t, "standard", Options{Secrets: []string{secret}}).Sign(r); err != nil {
			t.Fatal(err)
		}
		s := scheme(t, "standard", Options{Secrets: []string{standardSecret, public}})
		check(t, s, nil, []signed{
			{"pair", r.Header, standardBody, ""},
			{"tampered", r.Header, standardBody + " ", "signature_mismatch"},
		})
		window(t, s, nil, signed{header: r.Header, body: standardBody})
	}
	if err := scheme(t, "standard", Options{Secrets: []string{public}}).Sign(freshRequest("")); err == nil {
		t.Error("a public key signs")
	}
}

func TestStandardSigns(t *testing.T) {
	r := &Request{Header: fields("webhook-id", standardID), Body: []byte(standardBody), Time: time.Unix(signedAt, 0)}
	if err := scheme(t, "standard", Options{Secrets: []string{standardSecret}}).Sign(r); err != nil {
		t.Fatal(err)
	}
	if v, _ := r.value("webhook-signature"); v != standardSignature {
		t.Errorf("signs with %s", v)
	}
}
