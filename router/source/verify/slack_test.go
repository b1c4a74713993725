package verify

import (
	"testing"
	"time"
)

// The vector is from Slack's documentation.
const (
	slackSecret = "8f742231b10e8888abcd99yyyzzz85a5"
	slackBody   = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar" +
		"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands" +
		"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	slackAt        = "1531420618"
	slackSignature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
)

func TestSlack(t *testing.T) {
	header := func(at, signature string) []signedField {
		return fields("X-Slack-Request-Timestamp", at, "X-Slack-Signature", signature)
	}
	s := scheme(t, "slack", Options{Secrets: []string{"newer", slackSecret}})
	at := time.Unix(1531420618, 0)
	checkAt(t, s, []string{slackSecret}, at, "", []signed{
		{"vector", header(slackAt, slackSignature), slackBody, ""},
		{"tampered body", header(slackAt, slackSignature), slackBody + "&", "signature_mismatch"},
		{"tampered time", header("1531420619", slackSignature), slackBody, "signature_mismatch"},
		{"missing", fields("X-Slack-Request-Timestamp", slackAt), slackBody, "signature_missing"},
		{"no time", fields("X-Slack-Signature", slackSignature), slackBody, "timestamp_missing"},
		{"no number", header("noon", slackSignature), slackBody, "timestamp_malformed"},
		{"too large a number", header("99999999999999999999", slackSignature), slackBody, "timestamp_malformed"},
		{"no prefix", header(slackAt, slackSignature[3:]), slackBody, "signature_malformed"},
		{"cut off", header(slackAt, slackSignature[:60]), slackBody, "signature_malformed"},
		{"another version", header(slackAt, "v1"+slackSignature[2:]), slackBody, "signature_malformed"},
	})
	one := signed{header: header(slackAt, slackSignature), body: slackBody}
	for _, w := range []struct {
		off  time.Duration
		code string
	}{{5 * time.Minute, ""}, {5*time.Minute + 1, "timestamp_too_old"}, {-5 * time.Minute, ""}, {-5*time.Minute - 1, "timestamp_in_future"}} {
		one.name, one.code = w.off.String(), w.code
		checkAt(t, s, nil, at.Add(w.off), "", []signed{one})
	}
	checkAt(t, scheme(t, "slack", Options{Secrets: []string{"wrong"}}), nil, at, "", []signed{
		{"wrong secret", header(slackAt, slackSignature), slackBody, "signature_mismatch"},
	})
}

func TestSlackChallenge(t *testing.T) {
	for body, want := range map[string]string{
		`{"token":"t","challenge":"3eZbrw1a","type":"url_verification"}`: "3eZbrw1a",
		`{"type":"event_callback","event":{"text":"url_verification"}}`:  "",
		`{"type":"url_verification"}`:                                    "",
		`{"type":"url_verification","challenge":7}`:                      "",
		`url_verification`: "",
		`{"type":"url_verification","challenge":"` + repeat("x", 1025) + `"}`: "",
	} {
		a := Find("slack").Challenge([]byte(body))
		if (a != nil) != (want != "") || a != nil && (a.Body != want || a.Status != 200 || a.ContentType != "text/plain; charset=utf-8") {
			t.Errorf("%.80s: %+v", body, a)
		}
	}
}
