package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// A router that is stopped while it starts has not failed: who supervises it must not
// see a crash.
func TestStoppedWhileStarting(t *testing.T) {
	wasm, err := filepath.Abs("../../examples/plugins/github-slack/github-slack.wasm")
	if err != nil {
		t.Fatal(err)
	}
	const tries = 10
	for range tries {
		dir, address := t.TempDir(), freeAddress(t)
		config := writeFile(t, dir, "router.hcl", fmt.Sprintf(`
server {
  listen = %q
}
store "badger" {
  path     = "data"
  min_free = "64MiB"
}
plugin "slow" {
  wasm = %q
}
`, address, wasm))
		r := launch(t, config, address, func(r *running) bool {
			// It answers before the plugin is compiled, which takes a while.
			res, err := http.Get(r.base + "/healthz")
			return err == nil && res.Body.Close() == nil
		})
		r.stop(t) // it fails where the exit code is not 0
		if strings.Contains(r.log.String(), "stopped before the router was ready") {
			return
		}
	}
	t.Errorf("in %d tries it was never stopped before it was ready", tries)
}
