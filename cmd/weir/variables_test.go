package main

import (
	"strings"
	"testing"
)

// Every command that reads the configuration takes --var; a reload goes by what
// serve was given.
func TestVariables(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	config := writeFile(t, dir, "router.hcl", `
variable "address" {}
server {
  listen = var.address
}
destination "out" {
  for_each = toset(["eu", "us"])
  url      = "stdout:"
}
route "all" {
  for_each = toset(["eu", "us"])
  when     = event.data.region == each.key
  to       = [destination.out[each.key]]
}
`)
	if out, _, code := weir(t, dir, "validate"); code != 1 || !strings.Contains(out, "Variable has no value") {
		t.Errorf("validate: code %d\n%s", code, out)
	}
	if _, errOut, code := weir(t, dir, "validate", "--var", "address"); code != 2 {
		t.Errorf("a malformed --var: code %d, %s", code, errOut)
	}
	serveFile(t, config, address, "WEIR_VAR_address="+address)
	v := []string{"--var", "address=" + address}
	for _, args := range [][]string{
		{"validate"}, {"send", "--id", "o-1", "--data", `{"region":"us"}`}, {"events", "show", "o-1"}, {"reload"}, {"doctor"},
	} {
		if out, errOut, code := weir(t, dir, append(args, v...)...); code != 0 {
			t.Errorf("weir %v: code %d\n%s%s", args, code, out, errOut)
		}
	}
	await(t, "the delivery", func() bool {
		out, _, _ := weir(t, dir, append([]string{"deliveries", "ls"}, v...)...)
		return strings.Contains(out, "out.us")
	})
	if out, _, _ := weir(t, dir, append([]string{"explain", "o-1"}, v...)...); !strings.Contains(out, "all.eu") || !strings.Contains(out, `"us"`) {
		t.Errorf("explain:\n%s", out)
	}
}
