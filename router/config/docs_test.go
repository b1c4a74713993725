package config

import (
	"os"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/source/verify"
)

// TestDocumentation loads each block of docs/configuration.md by itself, and
// looks for each name that this version knows or refuses.
func TestDocumentation(t *testing.T) {
	b, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	env := func(name string) (string, bool) {
		return "a-secret-of-" + name, !strings.HasPrefix(name, VariablePrefix)
	}
	n := 0
	for _, part := range strings.Split(text, "```hcl\n")[1:] {
		src, _, _ := strings.Cut(part, "```")
		c, r := Parse("example.hcl", []byte(src), Options{LookupEnv: env})
		if c == nil {
			t.Errorf("%s\n%s", src, reportText(t, r))
		}
		if out, _ := Layout("example.hcl", []byte(src)); string(out) != src {
			t.Errorf("not in the canonical layout:\n%s", src)
		}
		n++
	}
	if n < 6 {
		t.Fatalf("%d examples", n)
	}
	_, later, _ := strings.Cut(text, "## Not supported yet")
	for _, s := range []schema{topSchema, serverSchema, storeSchema, sourceSchema, pluginSchema, destinationSchema, routeSchema, webhooksSchema, replySchema, verifySchema("hmac"), verifySchema("basic")} {
		for _, name := range join(s.laterAttributes, s.laterBlocks) {
			if !strings.Contains(later, "`"+name+"`") {
				t.Errorf("%s is not in the list of what is not supported yet", name)
			}
		}
		for _, name := range join(s.attributes, s.blocks) {
			if !strings.Contains(text, name) {
				t.Errorf("%s is not described", name)
			}
		}
	}
	for _, kind := range verify.Kinds() {
		if !strings.Contains(text, "`\""+kind+"\"`") {
			t.Errorf("verify %s is not described", kind)
		}
	}
	for _, kind := range verify.Handshakes() {
		if !strings.Contains(text, "`\""+kind+"\"`") {
			t.Errorf("handshake %s is not described", kind)
		}
	}
	for name := range sharedFunctions {
		if !strings.Contains(text, name) {
			t.Errorf("the function %s is not described", name)
		}
	}
}
