package router

import (
	"context"
	"testing"
)

// Where others reach the router, a reload can't take its last token away.
func TestTokensStayWhereOthersReach(t *testing.T) {
	dir := t.TempDir()
	const key = "server {\n  listen = \"192.0.2.1:8080\"\n  token  = \"a-token-of-the-router\"\n}\n"
	r := start(t, dir, key, Options{})
	defer shut(t, r)
	for _, c := range []struct {
		hcl, result string
		open        bool
	}{
		{"server {\n  listen = \"127.0.0.1:8080\"\n}\n", "needs_restart", false},
		{"server {\n  listen   = \"192.0.2.1:8080\"\n  insecure = true\n}\n", "needs_restart", false},
		{"server {\n  listen = \"192.0.2.1:8080\"\n  token  = \"another-token-of-the-router\"\n}\n", "applied", false},
	} {
		done, err := r.Reload(context.Background(), parse(t, dir, c.hcl), false)
		if err != nil {
			t.Fatal(err)
		}
		if done.Changes[0].Block != "server" || done.Changes[0].Result != c.result {
			t.Errorf("%s: %+v", c.hcl, done.Changes[0])
		}
		if (engine{r}).Keys().Any() == c.open {
			t.Errorf("%s: it needs no token", c.hcl)
		}
	}
}
