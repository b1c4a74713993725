// Package examples_test runs every example plugin on the events in its testdata.
package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/golden/goldentest"
	"github.com/weirhq/weir/plugins/plugintest"
	"github.com/weirhq/weir/sdk"
)

// commands are the examples without an SDK.
var commands = map[string]bool{"stdio-total": true}

// make plugins builds each example, those without an SDK as such.
func TestMakePlugins(t *testing.T) {
	make := exec.Command("make", "-n", "plugins")
	make.Dir = "../.."
	out, err := make.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	folders, err := filepath.Glob("*/testdata")
	if err != nil || len(folders) < 8 {
		t.Fatalf("%v, %v", folders, err)
	}
	for _, testdata := range folders {
		dir := filepath.Dir(testdata)
		if !strings.Contains(string(out), " examples/plugins/"+dir+"/") {
			t.Errorf("%s is not built", dir)
		}
		if commands[dir] != strings.HasPrefix(dir, "stdio-") {
			t.Errorf("the Makefile knows plugins without an SDK by stdio-, and not %s", dir)
		}
	}
}

// Each example does what its events want, and a thousand times more in random order
// to the same bytes and the same fuel.
func TestExamples(t *testing.T) {
	folders, err := filepath.Glob("*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	languages := map[string]bool{}
	both := false
	for _, readme := range folders {
		dir := filepath.Dir(readme)
		t.Run(dir, func(t *testing.T) {
			spec := plugins.Spec{}
			inspect := plugins.Inspect
			if commands[dir] {
				spec.ABI, spec.Wasm = plugins.ABIStdio, plugintest.BuildCommand(t, dir)
				inspect = plugins.InspectStdio
			} else {
				spec.Wasm = plugintest.Build(t, dir)
				language, err := sdk.LanguageOf(dir)
				if err != nil {
					t.Fatal(err)
				}
				languages[language.Name] = true
			}
			info, err := inspect(spec.Wasm)
			if err != nil {
				t.Fatal(err)
			}
			both = both || info.Kind == plugins.KindBoth
			goldentest.Run(t, spec, filepath.Join(dir, "testdata"))
			text, err := os.ReadFile(readme)
			if err != nil || !strings.HasPrefix(string(text), "# "+dir+"\n") || !strings.Contains(string(text), dir+"/"+dir+".wasm") {
				t.Errorf("its README doesn't say how to use it: %v", err)
			}
		})
	}
	for _, l := range sdk.Languages() {
		if !languages[l.Name] && !t.Failed() {
			t.Errorf("there is no example in %s", l.Title)
		}
	}
	if !both && !t.Failed() {
		t.Error("no example is both a filter and a transform")
	}
}
