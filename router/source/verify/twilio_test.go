package verify

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// The first vector is from Twilio's documentation, that of JSON was computed
// with Python's hmac module.
const (
	twilioSecret    = "12345"
	twilioURL       = "https://mycompany.com/myapp.php?foo=1&bar=2"
	twilioForm      = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
	twilioSignature = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
	twilioJSON      = "GayVaVbQK5vYkPd+IkPDzuXh7BQ="
	twilioJSONURL   = "https://example.com/in/sms?bodySHA256=015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
)

func TestTwilio(t *testing.T) {
	s := scheme(t, "twilio", Options{Secrets: []string{"newer", twilioSecret}})
	form := func(signature string) []signedField {
		return fields("Content-Type", "application/x-www-form-urlencoded", "X-Twilio-Signature", signature)
	}
	json := func(signature string) []signedField {
		return fields("Content-Type", "application/json", "X-Twilio-Signature", signature)
	}
	now := time.Unix(signedAt, 0)
	checkAt(t, s, nil, now, twilioURL, []signed{
		{"vector", form(twilioSignature), twilioForm, ""},
		{"another order", form(twilioSignature), "To=%2B18005551212&" + strings.TrimSuffix(twilioForm, "&To=%2B18005551212"), ""},
		{"tampered value", form(twilioSignature), strings.Replace(twilioForm, "1234&", "1235&", 1), "signature_mismatch"},
		{"one more", form(twilioSignature), twilioForm + "&x=y", "signature_mismatch"},
		{"missing", fields("Content-Type", "application/x-www-form-urlencoded"), twilioForm, "signature_missing"},
		{"cut off", form(twilioSignature[:24]), twilioForm, "signature_malformed"},
		{"no base64", form("!" + twilioSignature[1:]), twilioForm, "signature_malformed"},
		{"no form", form(twilioSignature), "a=%zz", "signature_malformed"},
		{"JSON that nothing signs", json(twilioSignature), `{"a":1}`, "signature_unsupported"},
	})
	checkAt(t, s, nil, now, strings.Replace(twilioURL, "foo=1", "foo=2", 1), []signed{
		{"another query", form(twilioSignature), twilioForm, "signature_mismatch"},
	})
	checkAt(t, s, nil, now, strings.Replace(twilioURL, ".com", ".com:443", 1), []signed{
		{"with the port", form(twilioSignature), twilioForm, ""},
	})
	checkAt(t, s, nil, now, strings.Replace(twilioURL, ".com", ".com:8443", 1), []signed{
		{"another port", form(twilioSignature), twilioForm, "signature_mismatch"},
	})
	checkAt(t, s, nil, now, twilioJSONURL, []signed{
		{"JSON", json(twilioJSON), `{"a":1}`, ""},
		{"JSON tampered", json(twilioJSON), `{"a":2}`, "signature_mismatch"},
	})
	checkAt(t, s, nil, now, "https://example.com/in/sms?bodySHA256=00", []signed{
		{"short digest", json(twilioJSON), `{"a":1}`, "signature_malformed"},
	})
	checkAt(t, scheme(t, "twilio", Options{Secrets: []string{"wrong"}}), nil, now, twilioURL, []signed{
		{"wrong secret", form(twilioSignature), twilioForm, "signature_mismatch"},
	})
}

func TestTwilioAddresses(t *testing.T) {
	for address, other := range map[string]string{
		"https://a.example/x?y=1":     "https://a.example:443/x?y=1",
		"https://a.example:443/x":     "https://a.example/x",
		"http://a.example/x":          "http://a.example:80/x",
		"https://a.example:8443/x":    "",
		"https://a.example/x?u=a:443": "https://a.example:443/x?u=a:443",
	} {
		got := addresses(address)
		if got[0] != address || other == "" && len(got) != 1 || other != "" && (len(got) != 2 || got[1] != other) {
			t.Errorf("%s: %q", address, got)
		}
	}
}

// A repeated name counts once a value, in order of the values.
func TestTwilioFormText(t *testing.T) {
	if got := string(formText(url.Values{"b": {"2", "1", "2"}, "a": {"x"}, "B": {""}})); got != "Baxb1b2" {
		t.Errorf("got %s", got)
	}
}
