package sdk

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// file is one of a scaffold: its name, with slashes, and its text.
type file struct{ name, text string }

// writeNew writes the files of a new plugin. Where one of them is there already
// it returns [ErrExists] and writes none.
func writeNew(dir string, files []file) error {
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.name))
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%w: %s", ErrExists, path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("folder of the plugin: %w", err)
		}
	}
	return writeFiles(dir, files)
}

// writeFiles writes files, and the folders that they need.
func writeFiles(dir string, files []file) error {
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("folder of the plugin: %w", err)
		}
		if err := os.WriteFile(path, []byte(f.text), 0o644); err != nil {
			return fmt.Errorf("writing the plugin: %w", err)
		}
	}
	return nil
}

// appendSDK appends the files of an embedded SDK, tests left out, as they lie in
// the folder sdk of a plugin.
func appendSDK(files []file, from embed.FS, root string) ([]file, error) {
	err := fs.WalkDir(from, root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := from.ReadFile(path)
		files = append(files, file{"sdk" + strings.TrimPrefix(path, root), string(text)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("embedded SDK: %w", err)
	}
	return files, nil
}

// scaffold fills the plugin's name into a language's own files, and adds the test
// that all languages share.
func scaffold(name string, own []file) []file {
	var files []file
	for _, f := range own {
		files = append(files, file{strings.ReplaceAll(f.name, "NAME", name), strings.ReplaceAll(f.text, "NAME", name)})
	}
	return append(files, goldenCase(name))
}

// sdkFolder returns where the SDK for the plugin in dir is, relative to dir where
// that has its own, and else a copy of the embedded one that cleanup removes. A
// folder that holds the file called marker is one.
func sdkFolder(dir, marker string, from embed.FS, root string) (folder string, cleanup func(), err error) {
	if _, err := os.Stat(filepath.Join(dir, "sdk", filepath.FromSlash(marker))); err == nil {
		return "sdk", func() {}, nil
	}
	files, err := appendSDK(nil, from, root)
	if err != nil {
		return "", nil, err
	}
	temporary, err := os.MkdirTemp("", "weir-sdk-")
	if err != nil {
		return "", nil, fmt.Errorf("folder for the SDK: %w", err)
	}
	cleanup = func() { os.RemoveAll(temporary) }
	if err := writeFiles(temporary, files); err != nil {
		cleanup()
		return "", nil, err
	}
	return filepath.Join(temporary, "sdk"), cleanup, nil
}

// scaffoldReadme is the README of a new plugin, with NAME in it.
func scaffoldReadme(needs string) string {
	return `# NAME

A plugin for Weir. Build it (` + needs + `), and run it on the events in testdata:

    weir plugin build
    weir plugin test

Use it in router.hcl:

    plugin "NAME" {
      wasm = "NAME.wasm"
    }

and put plugin.NAME into the through list of a route. What the SDK can do is in
sdk/README.md.
`
}

// goldenCase is the test of a new plugin: what every scaffold does with an
// event.
func goldenCase(name string) file {
	return file{"testdata/signed-up.json", `{
  "event": {
    "type": "user.signed_up",
    "data": {"name": "Ada", "password": "secret"}
  },
  "want": {
    "messages": [
      {"type": "user.signed_up", "data": {"name": "Ada", "plugin": "` + name + `"}}
    ]
  }
}
`}
}

// run runs a compiler. Its output is in the error.
func run(cmd *exec.Cmd, what string) error {
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", what, err, bytes.TrimSpace(text))
	}
	return nil
}
