package verify

import (
	"strings"
	"testing"
	"time"
)

// The vector is from SendGrid's own libraries.
const (
	sendgridKey       = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
	sendgridSignature = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
	sendgridBody      = `[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",` +
		`"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]` + "\r\n"
	sendgridAt = "1600112502"
)

func TestSendGrid(t *testing.T) {
	header := func(at, signature string) []signedField {
		return fields("X-Twilio-Email-Event-Webhook-Timestamp", at, "X-Twilio-Email-Event-Webhook-Signature", signature)
	}
	at := time.Unix(1600112502, 0)
	s := scheme(t, "sendgrid", Options{Secrets: []string{ecdsaPublic, sendgridKey}})
	checkAt(t, s, []string{sendgridKey}, at, "", []signed{
		{"vector", header(sendgridAt, sendgridSignature), sendgridBody, ""},
		{"tampered body", header(sendgridAt, sendgridSignature), strings.TrimSpace(sendgridBody), "signature_mismatch"},
		{"tampered time", header("1600112503", sendgridSignature), sendgridBody, "signature_mismatch"},
		{"missing", nil, sendgridBody, "signature_missing"},
		{"no time", fields("X-Twilio-Email-Event-Webhook-Signature", sendgridSignature), sendgridBody, "timestamp_missing"},
		{"no number", header("soon", sendgridSignature), sendgridBody, "timestamp_malformed"},
		{"no base64", header(sendgridAt, "!"), sendgridBody, "signature_malformed"},
		{"too long", header(sendgridAt, strings.Repeat("A", 400)), sendgridBody, "signature_malformed"},
		{"no signature", header(sendgridAt, "AAAA"), sendgridBody, "signature_mismatch"},
	})
	checkAt(t, s, nil, at.Add(301*time.Second), "", []signed{{"stale", header(sendgridAt, sendgridSignature), sendgridBody, "timestamp_too_old"}})
	checkAt(t, s, nil, at.Add(-301*time.Second), "", []signed{{"future", header(sendgridAt, sendgridSignature), sendgridBody, "timestamp_in_future"}})
	checkAt(t, scheme(t, "sendgrid", Options{Secrets: []string{ecdsaPublic}}), nil, at, "", []signed{
		{"another key", header(sendgridAt, sendgridSignature), sendgridBody, "signature_mismatch"},
	})
}

// A key may be PEM, and its lines broken anywhere.
func TestSendGridKeys(t *testing.T) {
	private := "-----BEGIN PRIVATE KEY-----\n" + ecdsaPrivate[:64] + "\n" + ecdsaPrivate[64:128] + "\n" + ecdsaPrivate[128:] + "\n-----END PRIVATE KEY-----\n"
	r := freshRequest("[]")
	if err := scheme(t, "sendgrid", Options{Secrets: []string{private}}).Sign(r); err != nil {
		t.Fatal(err)
	}
	public := "-----BEGIN PUBLIC KEY-----\n" + ecdsaPublic[:64] + "\n" + ecdsaPublic[64:] + "\n-----END PUBLIC KEY-----"
	for _, key := range []string{public, ecdsaPublic, ecdsaPublic[:50] + "\n" + ecdsaPublic[50:]} {
		if p := scheme(t, "sendgrid", Options{Secrets: []string{key}}).Verify(r); p != nil {
			t.Error(p)
		}
	}
	if err := scheme(t, "sendgrid", Options{Secrets: []string{ecdsaPublic}}).Sign(r); err == nil {
		t.Error("a public key signs")
	}
}
