package verify

import "testing"

// The vector is from GitHub's documentation.
const (
	githubSecret    = "It's a Secret to Everybody"
	githubBody      = "Hello, World!"
	githubSignature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

func TestGitHub(t *testing.T) {
	cases := []signed{
		{"vector", field("x-hub-signature-256", githubSignature), githubBody, ""},
		{"tampered", field("x-hub-signature-256", githubSignature), "Hello, World?", "signature_mismatch"},
		{"other digits", field("x-hub-signature-256", "sha256=0"+githubSignature[8:]), githubBody, "signature_mismatch"},
		{"missing", nil, githubBody, "signature_missing"},
		{"empty", field("x-hub-signature-256", ""), githubBody, "signature_missing"},
		{"no prefix", field("x-hub-signature-256", githubSignature[7:]), githubBody, "signature_malformed"},
		{"cut off", field("x-hub-signature-256", githubSignature[:69]), githubBody, "signature_malformed"},
		{"odd", field("x-hub-signature-256", githubSignature[:70]), githubBody, "signature_malformed"},
		{"no hex", field("x-hub-signature-256", "sha256="+githubSecret), githubBody, "signature_malformed"},
		{"sha-1 only", field("x-hub-signature", "sha1=0f1e"), githubBody, "signature_unsupported"},
	}
	check(t, scheme(t, "github", Options{Secrets: []string{githubSecret}}), []string{githubSecret}, cases)
	check(t, scheme(t, "github", Options{Secrets: []string{"new", githubSecret}}), []string{githubSecret}, cases)
	check(t, scheme(t, "github", Options{Secrets: []string{"wrong-secret"}}), []string{"wrong-secret"}, []signed{
		{"wrong secret", field("x-hub-signature-256", githubSignature), githubBody, "signature_mismatch"},
	})
}

func TestGitHubSigns(t *testing.T) {
	r := &Request{Body: []byte(githubBody)}
	if err := scheme(t, "github", Options{Secrets: []string{githubSecret}}).Sign(r); err != nil {
		t.Fatal(err)
	}
	if len(r.Header) != 1 || r.Header[0].Name != "x-hub-signature-256" || r.Header[0].Value != githubSignature {
		t.Errorf("signs with %v", r.Header)
	}
}
