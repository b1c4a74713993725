package interop

import (
	"bytes"
	"io"
	"testing"
)

// Redocly's linter, with its stricter set of rules, has nothing against the
// description of the API.
func TestOpenAPIIsLinted(t *testing.T) {
	res, err := client.Get(serve(t) + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	// That the linter looks: without its operations' names the document is worse.
	worse := bytes.ReplaceAll(body, []byte(`"operationId"`), []byte(`"x-id"`))
	for i, a := range ask(t, []question{{"ask": "lint", "body": string(body)}, {"ask": "lint", "body": string(worse)}}) {
		if a.OK != (i == 0) {
			t.Errorf("document %d: %v\n%s", i, a.OK, a.Error)
		}
	}
}
