package attempt

import (
	"os"
	"strings"
	"testing"
)

// Whoever meets a reason finds it in the documentation.
func TestReasonsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/destinations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{
		ReasonDNS, ReasonRefused, ReasonReset, ReasonTLS, ReasonTimeout, ReasonStatus, ReasonBlocked, ReasonTooLarge,
		ReasonProtocol, ReasonConfig, ReasonAuth, ReasonIO, ReasonStopped, ReasonPlugin, ReasonNoRoute,
	} {
		if !strings.Contains(string(doc), "\n| `"+reason+"` |") {
			t.Errorf("docs/destinations.md lacks %q", reason)
		}
	}
}
