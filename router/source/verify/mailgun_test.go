package verify

import (
	"testing"
	"time"
)

// Timestamp and token are from Mailgun's documentation; its signature there is
// by a key that is not told, so this one was computed with Python's hmac module.
const (
	mailgunSecret    = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0"
	mailgunToken     = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
	mailgunSignature = "b63c0701c4f4b614f272106a1b367c5c3369bcdca664ae73ebd52787e45eef07"
)

func TestMailgun(t *testing.T) {
	body := func(timestamp, token, signature string) string {
		return `{"signature":{"timestamp":` + timestamp + `,"token":"` + token + `","signature":"` + signature + `"},"event-data":{"event":"opened"}}`
	}
	at := time.Unix(1529006854, 0)
	good := body(`"1529006854"`, mailgunToken, mailgunSignature)
	json := fields("content-type", "application/json")
	form := fields("content-type", "application/x-www-form-urlencoded")
	s := scheme(t, "mailgun", Options{Secrets: []string{"newer", mailgunSecret}})
	checkAt(t, s, []string{mailgunSecret}, at, "", []signed{
		{"vector", json, good, ""},
		{"time as a number", json, body("1529006854", mailgunToken, mailgunSignature), ""},
		{"form", form, "timestamp=1529006854&token=" + mailgunToken + "&signature=" + mailgunSignature, ""},
		{"tampered token", json, body(`"1529006854"`, "b"+mailgunToken[1:], mailgunSignature), "signature_mismatch"},
		{"tampered time", json, body(`"1529006855"`, mailgunToken, mailgunSignature), "signature_mismatch"},
		{"a digit moved", json, body(`"152900685"`, "4"+mailgunToken, mailgunSignature), "timestamp_too_old"},
		{"missing", json, `{"event-data":{}}`, "signature_missing"},
		{"no object", json, `{"signature":"x"}`, "signature_missing"},
		{"no JSON", json, `{"signature":`, "signature_missing"},
		{"no form", form, "signature=%zz", "signature_missing"},
		{"no time", json, `{"signature":{"token":"a","signature":"` + mailgunSignature + `"}}`, "timestamp_missing"},
		{"no token", json, `{"signature":{"timestamp":"1","signature":"` + mailgunSignature + `"}}`, "signature_malformed"},
		{"no hex", json, body(`"1529006854"`, mailgunToken, "zz"+mailgunSignature[2:]), "signature_malformed"},
		{"no number", json, body(`"now"`, mailgunToken, mailgunSignature), "timestamp_malformed"},
	})
	checkAt(t, s, nil, at.Add(301*time.Second), "", []signed{{"stale", json, good, "timestamp_too_old"}})
	checkAt(t, s, nil, at.Add(-301*time.Second), "", []signed{{"future", json, good, "timestamp_in_future"}})
	checkAt(t, scheme(t, "mailgun", Options{Secrets: []string{"wrong"}}), nil, at, "", []signed{{"wrong secret", json, good, "signature_mismatch"}})
	if err := s.Sign(freshRequest("[]")); err == nil {
		t.Error("signs what has no room for a signature")
	}
}
