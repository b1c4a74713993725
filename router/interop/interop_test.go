// Package interop holds no code of the router: its tests hold it against npm
// packages that its users have. Providers' own packages sign what sources verify,
// receivers' packages verify what is delivered, the CloudEvents SDKs are clients,
// and a linter reads the description of the API. They need `make deps` first.
package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// bodies are what encoders disagree about.
var bodies = []string{
	`{"test": 2432232314}`,
	"{\n  \"n\": 12345678901234567890,\t\"f\": 1.0\n}\n",
	`{"text":"zażółć 🎉 \u0000 \ud83c\udf89","event":"ünïcode"}`,
	`[]`,
}

type question map[string]any

type answer struct {
	OK      bool
	Error   string
	Headers map[string]string
	Body    string
	URL     string
}

// ask puts all questions to one run of Node.
func ask(t *testing.T, questions []question) []answer {
	t.Helper()
	if _, err := os.Stat("node_modules/stripe"); err != nil {
		t.Fatalf("the npm packages are not installed; run `make deps` first: %v", err)
	}
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", "interop.mjs")
	node.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	node.Stderr = &stderr
	output, err := node.Output()
	if err != nil {
		t.Fatalf("node (run `make deps` first): %v\n%s", err, stderr.String())
	}
	var answers []answer
	if err := json.Unmarshal(output, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}
