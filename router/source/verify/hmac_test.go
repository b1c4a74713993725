package verify

import (
	"testing"
	"time"
)

// Test case 2 of RFC 2202 (SHA-1) and RFC 4231 (SHA-2).
const (
	rfcKey    = "Jefe"
	rfcData   = "what do ya want for nothing?"
	rfcSHA1   = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
	rfcSHA256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	rfcSHA512 = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554" +
		"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
	// rfcTimed is SHA-256 over 1614265330, a dot and the data, by Python's hmac.
	rfcTimed  = "28bf12ac4fe98e509a57f9a63082e1ea612208d47decac51def2ea4070447d7e"
	rfcBase64 = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=" // of SHA-256
)

func TestHMAC(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options Options
		cases   []signed
	}{
		{"sha256", Options{}, []signed{
			{"vector", field("x-sig", rfcSHA256), rfcData, ""},
			{"upper case", field("x-sig", "5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843"), rfcData, ""},
			{"tampered", field("x-sig", rfcSHA256), rfcData + "!", "signature_mismatch"},
			{"missing", nil, rfcData, "signature_missing"},
			{"another header", field("x-hub-signature-256", rfcSHA256), rfcData, "signature_missing"},
			{"sha1", field("x-sig", rfcSHA1), rfcData, "signature_malformed"},
			{"base64", field("x-sig", rfcBase64), rfcData, "signature_malformed"},
		}},
		{"sha1", Options{Algorithm: "sha1"}, []signed{
			{"vector", field("x-sig", rfcSHA1), rfcData, ""},
			{"sha256", field("x-sig", rfcSHA256), rfcData, "signature_malformed"},
		}},
		{"sha512", Options{Algorithm: "sha512", Encoding: "hex"}, []signed{
			{"vector", field("x-sig", rfcSHA512), rfcData, ""},
			{"tampered", field("x-sig", rfcSHA512), "", "signature_mismatch"},
		}},
		{"base64", Options{Algorithm: "sha256", Encoding: "base64"}, []signed{
			{"vector", field("x-sig", rfcBase64), rfcData, ""},
			{"without padding", field("x-sig", rfcBase64[:43]), rfcData, ""},
			{"cut off", field("x-sig", rfcBase64[:40]), rfcData, "signature_malformed"},
			{"hex", field("x-sig", rfcSHA256), rfcData, "signature_malformed"},
		}},
		{"timestamp", Options{TimestampHeader: "X-Time"}, []signed{
			{"vector", fields("x-sig", rfcTimed, "x-time", "1614265330"), rfcData, ""},
			{"tampered time", fields("x-sig", rfcTimed, "x-time", "1614265331"), rfcData, "signature_mismatch"},
			{"body alone", fields("x-sig", rfcSHA256, "x-time", "1614265330"), rfcData, "signature_mismatch"},
			{"no time", field("x-sig", rfcTimed), rfcData, "timestamp_missing"},
			{"no number", fields("x-sig", rfcTimed, "x-time", "1614265330.0"), rfcData, "timestamp_malformed"},
		}},
		{"prefix", Options{Prefix: "v0="}, []signed{
			{"vector", field("x-sig", "v0="+rfcSHA256), rfcData, ""},
			{"no prefix", field("x-sig", rfcSHA256), rfcData, "signature_malformed"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.Secrets, tt.options.Header = []string{"newer", rfcKey}, "X-Sig"
			check(t, scheme(t, "hmac", tt.options), []string{rfcKey}, tt.cases)
		})
	}
}

func TestHMACWindow(t *testing.T) {
	s := scheme(t, "hmac", Options{Secrets: []string{rfcKey}, Header: "X-Sig", TimestampHeader: "X-Time"})
	window(t, s, nil, signed{header: fields("x-sig", rfcTimed, "x-time", "1614265330"), body: rfcData})
	wider := scheme(t, "hmac", Options{Secrets: []string{rfcKey}, Header: "X-Sig", TimestampHeader: "X-Time", Tolerance: time.Hour})
	checkAt(t, wider, nil, time.Unix(signedAt+3600, 0), "", []signed{{"wider", fields("x-sig", rfcTimed, "x-time", "1614265330"), rfcData, ""}})
}
