package sdk

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// stamp writes into the module at path what it was made of and with, where its
// compiler does not: weir plugin inspect shows it. tools are pairs of a name and a
// version.
func stamp(path, language string, tools ...[2]string) error {
	wasm, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the built plugin: %w", err)
	}
	sections, err := readSections(wasm)
	if err != nil {
		return fmt.Errorf("the built plugin: %w", err)
	}
	for _, s := range sections {
		if r := (wasmReader{rest: s.body}); s.id == sectionCustom && r.name() == "producers" {
			return nil
		}
	}
	made := producersSection([]producerField{
		{"language", [][2]string{{language, ""}}},
		{"processed-by", tools},
	})
	if err := os.WriteFile(path, writeSections(append(sections, made)), 0o644); err != nil {
		return fmt.Errorf("writing the plugin: %w", err)
	}
	return nil
}

// versionOf is the first line that a tool prints of itself.
func versionOf(ctx context.Context, tool string, args ...string) string {
	out, err := exec.CommandContext(ctx, tool, args...).Output()
	if err != nil {
		return "" // nothing depends on it
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
