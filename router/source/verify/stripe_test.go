package verify

import "testing"

// The vector was computed with Python's hmac module, by Stripe's documentation.
const (
	stripeSecret = "whsec_test_secret"
	stripeBody   = `{"id":"evt_1","object":"event"}`
	stripeV1     = "42b3d2b2181207b6b299df380bf37599bb895dc182467ba12e046b1916c4cd19"
	stripeOldV1  = "efffcea6bc2d923dce6bb11bd9c5d0d2ccba505bde7b29eaf59b887a22679aa9" // by whsec_old
)

func TestStripe(t *testing.T) {
	header := func(v string) []signedField { return field("Stripe-Signature", v) }
	cases := []signed{
		{"vector", header("t=1614265330,v1=" + stripeV1), stripeBody, ""},
		{"with v0", header("t=1614265330,v1=" + stripeV1 + ",v0=" + stripeV1), stripeBody, ""},
		{"spaces", header("t=1614265330, v1=" + stripeV1), stripeBody, ""},
		{"two while a secret rolls", header("t=1614265330,v1=" + stripeOldV1 + ",v1=" + stripeV1), stripeBody, ""},
		{"beside a broken one", header("t=1614265330,v1=bad_signature,v1=" + stripeV1 + ",v1=00"), stripeBody, ""},
		{"a broken one beside another secret's", header("t=1614265330,v1=00,v1=" + stripeOldV1), stripeBody, "signature_mismatch"},
		{"a broken one and v0", header("t=1614265330,v1=00,v0=" + stripeV1), stripeBody, "signature_malformed"},
		{"only of another secret", header("t=1614265330,v1=" + stripeOldV1), stripeBody, "signature_mismatch"},
		{"tampered body", header("t=1614265330,v1=" + stripeV1), stripeBody + " ", "signature_mismatch"},
		{"tampered time", header("t=1614265331,v1=" + stripeV1), stripeBody, "signature_mismatch"},
		{"time spelled otherwise", header("t=01614265330,v1=" + stripeV1), stripeBody, "signature_mismatch"},
		{"missing", nil, stripeBody, "signature_missing"},
		{"empty", header(""), stripeBody, "signature_missing"},
		{"no time", header("v1=" + stripeV1), stripeBody, "timestamp_missing"},
		{"no number", header("t=now,v1=" + stripeV1), stripeBody, "timestamp_malformed"},
		{"negative", header("t=-1,v1=" + stripeV1), stripeBody, "timestamp_malformed"},
		{"two times", header("t=1614265330,t=1614265331,v1=" + stripeV1), stripeBody, "signature_malformed"},
		{"v0 only", header("t=1614265330,v0=" + stripeV1), stripeBody, "signature_unsupported"},
		{"time only", header("t=1614265330"), stripeBody, "signature_malformed"},
		{"cut off", header("t=1614265330,v1=" + stripeV1[:62]), stripeBody, "signature_malformed"},
		{"no hex", header("t=1614265330,v1=zz" + stripeV1[2:]), stripeBody, "signature_malformed"},
		{"no pairs", header("hello"), stripeBody, "signature_malformed"},
		{"very many", header("t=1614265330" + repeat(",v1="+stripeOldV1, 17)), stripeBody, "signature_malformed"},
	}
	s := scheme(t, "stripe", Options{Secrets: []string{"whsec_new", stripeSecret}})
	check(t, s, []string{stripeSecret}, cases)
	window(t, s, []string{stripeSecret}, signed{header: header("t=1614265330,v1=" + stripeV1), body: stripeBody})
}
