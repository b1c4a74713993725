package sdk

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

//go:embed rust/Cargo.toml rust/README.md rust/src
var rustFiles embed.FS

var rust = Language{
	Name:     "rust",
	Title:    "Rust",
	detect:   func(dir string) bool { return rustRoot(dir) != "" },
	scaffold: scaffoldRust,
	build:    buildRust,
}

const rustTarget = "wasm32-unknown-unknown"

// rustRoot is the file that rustc is given, relative to the folder.
func rustRoot(dir string) string {
	for _, name := range []string{"src/lib.rs", "lib.rs"} {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
			return name
		}
	}
	return ""
}

func scaffoldRust(dir, name string) error {
	files, err := appendSDK(nil, rustFiles, "rust")
	if err != nil {
		return err
	}
	return writeNew(dir, append(files, scaffold(name, rustScaffold)...))
}

// rustToolchain is a compiler that has the WebAssembly target.
type rustToolchain struct {
	rustc string
	// linker is empty where the compiler brings its own.
	linker string
}

const (
	rustMissing = "rustc is needed and not in PATH: install it with the target wasm32-unknown-unknown (" + rustInstall + ")"

	rustTargetMissing = "rustc lacks the target for WebAssembly (%s has no %s): " + rustInstall

	rustInstall = "with rustup: rustup target add wasm32-unknown-unknown; Debian and Ubuntu: apt install rustc libstd-rust-dev-wasm32 lld; Fedora: dnf install rust rust-std-static-wasm32-unknown-unknown lld"
)

const rustLinkerMissing = "%s needs the WebAssembly linker, and none is in PATH: install lld (Debian and Ubuntu: apt install lld)"

// findRust tries each rustc of PATH: the first one is often one of rustup's without
// the target, and the system's has it.
func findRust(ctx context.Context, dir string) (*rustToolchain, error) {
	folders := filepath.SplitList(os.Getenv("PATH"))
	if home, err := os.UserHomeDir(); err == nil {
		folders = append(folders, filepath.Join(home, ".cargo", "bin"))
	}
	var without []string
	for _, folder := range folders {
		rustc, err := exec.LookPath(filepath.Join(folder, "rustc"))
		if err != nil {
			continue
		}
		ask := func(args ...string) string {
			cmd := exec.CommandContext(ctx, rustc, args...)
			cmd.Dir = dir // rustup goes by a rust-toolchain file there
			out, err := cmd.Output()
			if err != nil {
				return ""
			}
			return strings.TrimSpace(string(out))
		}
		libraries := ask("--print", "target-libdir", "--target", rustTarget)
		if found, err := filepath.Glob(filepath.Join(libraries, "libstd-*.rlib")); libraries == "" || err != nil || len(found) == 0 {
			without = append(without, rustc)
			continue
		}
		t := &rustToolchain{rustc: rustc}
		about := rustAbout(ask("-vV"))
		if _, err := os.Stat(filepath.Join(ask("--print", "sysroot"), "lib", "rustlib", about["host"], "bin", "rust-lld")); err == nil {
			return t, nil
		}
		// The linker of the same LLVM knows the same features.
		major, _, _ := strings.Cut(about["LLVM version"], ".")
		if t.linker = findLinker("-" + major); t.linker == "" {
			return nil, fmt.Errorf(rustLinkerMissing, rustc)
		}
		return t, nil
	}
	if len(without) > 0 {
		return nil, fmt.Errorf(rustTargetMissing, strings.Join(without, " nor "), rustTarget)
	}
	return nil, errors.New(rustMissing)
}

// rustAbout reads the lines "name: value" of rustc -vV.
func rustAbout(text string) map[string]string {
	about := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			about[name] = strings.TrimSpace(value)
		}
	}
	return about
}

// rustFlags are those of the plugin's own crate. The default stack of 1 MiB would
// be part of every instance's memory.
var rustFlags = []string{
	"-Copt-level=3", "-Cpanic=abort", "-Ccodegen-units=1", "-Cstrip=debuginfo",
	"-Ctarget-feature=+bulk-memory", "-Clink-arg=-zstack-size=131072",
}

// buildRust needs rustc alone, and cargo only for a plugin that has dependencies
// besides the SDK.
func buildRust(ctx context.Context, dir, out string, progress io.Writer) error {
	tools, err := findRust(ctx, dir)
	if err != nil {
		return err
	}
	if others, err := rustDependencies(dir); err != nil {
		return err
	} else if len(others) > 0 {
		return tools.cargo(ctx, dir, out, progress)
	}
	crate, cleanup, err := sdkFolder(dir, "src/lib.rs", rustFiles, "rust")
	if err != nil {
		return err
	}
	defer cleanup()
	temporary, err := os.MkdirTemp("", "weir-rust-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	// Nothing may depend on where the folders lie.
	library := filepath.Join(temporary, "libweir.rlib")
	args := append([]string{
		"--target", rustTarget, "--edition", "2021",
		"--remap-path-prefix", crate + "=sdk", "--remap-path-prefix", dir + "=.",
	}, rustFlags...)
	sdkArgs := append([]string{"--crate-type", "rlib", "--crate-name", "weir", "--cap-lints", "allow", "-o", library}, args...)
	if err := tools.compile(ctx, dir, io.Discard, append(sdkArgs, filepath.Join(crate, "src", "lib.rs"))...); err != nil {
		return err
	}
	args = append(args, "--crate-type", "cdylib", "--crate-name", "plugin", "-Clto", "--extern", "weir="+library, "-o", out)
	if tools.linker != "" {
		args = append(args, "-Clinker="+tools.linker)
	}
	return tools.compile(ctx, dir, progress, append(args, rustRoot(dir))...)
}

// compile runs rustc. Warnings go to progress.
func (t *rustToolchain) compile(ctx context.Context, dir string, progress io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, t.rustc, args...)
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("rustc: %w\n%s", err, bytes.TrimSpace(text))
	}
	_, err = progress.Write(text)
	return err
}

var (
	rustSection    = regexp.MustCompile(`^\[(.+)\]`)
	rustDependency = regexp.MustCompile(`^([A-Za-z0-9_-]+)\s*=`)
)

// rustDependencies returns the crates that Cargo.toml names, without the SDK. Those
// of tests don't count.
func rustDependencies(dir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "Cargo.toml"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var crates []string
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if m := rustSection.FindStringSubmatch(line); m != nil {
			section = m[1]
			if name, ok := strings.CutPrefix(section, "dependencies."); ok && name != "weir" {
				crates = append(crates, name)
			}
			continue
		}
		if m := rustDependency.FindStringSubmatch(line); m != nil && section == "dependencies" && m[1] != "weir" {
			crates = append(crates, m[1])
		}
	}
	return crates, nil
}

const cargoMissing = "the plugin's Cargo.toml has dependencies, so cargo is needed, and there is none beside %s or in PATH: install it (Debian and Ubuntu: apt install cargo)"

// cargo builds a plugin with dependencies, which it may have to download.
func (t *rustToolchain) cargo(ctx context.Context, dir, out string, progress io.Writer) error {
	tool, err := exec.LookPath(filepath.Join(filepath.Dir(t.rustc), "cargo"))
	if err != nil {
		if tool, err = exec.LookPath("cargo"); err != nil {
			return fmt.Errorf(cargoMissing, t.rustc)
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	registry := filepath.Join(home, ".cargo")
	if set := os.Getenv("CARGO_HOME"); set != "" {
		registry = set
	}
	flags := append([]string{"--remap-path-prefix=" + registry + "=cargo", "--remap-path-prefix=" + dir + "=."}, rustFlags...)
	cmd := exec.CommandContext(ctx, tool, "build", "--release", "--lib", "--target", rustTarget, "--message-format", "json-render-diagnostics")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "RUSTC="+t.rustc, "CARGO_ENCODED_RUSTFLAGS="+strings.Join(flags, "\x1f"), "CARGO_PROFILE_RELEASE_LTO=true")
	if t.linker != "" {
		cmd.Env = append(cmd.Env, "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="+t.linker)
	}
	var messages, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &messages, io.MultiWriter(&said, progress)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cargo build: %w\n%s", err, bytes.TrimSpace(said.Bytes()))
	}
	built := ""
	for line := range bytes.Lines(messages.Bytes()) {
		var m struct {
			Reason    string
			Filenames []string
		}
		if err := json.Unmarshal(line, &m); err != nil || m.Reason != "compiler-artifact" {
			continue // what build scripts print
		}
		for _, name := range m.Filenames {
			if filepath.Ext(name) == ".wasm" {
				built = name
			}
		}
	}
	if built == "" {
		return errors.New(`cargo built no .wasm file: Cargo.toml needs crate-type = ["cdylib"] under [lib]`)
	}
	wasm, err := os.ReadFile(built)
	if err != nil {
		return err
	}
	return os.WriteFile(out, wasm, 0o644)
}

var rustScaffold = []file{
	{"src/lib.rs", `use weir::{Flow, Message, Result};

weir::transform!(transform);

/// Changes the event on its way to the destinations. Return Flow::Drop to send
/// nothing, or an error to have it kept as a dead letter.
fn transform(m: &mut Message) -> Result<Flow> {
    m.remove("password");
    m.set("plugin", "NAME")?;
    Ok(Flow::Send)
}
`},
	{"Cargo.toml", `[package]
name = "NAME"
version = "0.1.0"
edition = "2021"
publish = false

[lib]
crate-type = ["cdylib"]

[dependencies]
weir = { path = "sdk" }

[profile.release]
panic = "abort"
`},
	{".gitignore", "*.wasm\n/target/\n"},
	{"README.md", scaffoldReadme("rustc with the target wasm32-unknown-unknown, Debian: apt install rustc libstd-rust-dev-wasm32 lld")},
}
