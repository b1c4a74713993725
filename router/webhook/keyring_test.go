package webhook

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func ring(t *testing.T, keys ...byte) *Keyring {
	t.Helper()
	var list [][]byte
	for _, k := range keys {
		list = append(list, bytes.Repeat([]byte{k}, keySize))
	}
	k, err := NewKeyring(list...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSeal(t *testing.T) {
	k := ring(t, 1)
	sealed := k.Seal("the secret", "wh_a")
	if strings.Contains(sealed, "secret") || k.Seal("the secret", "wh_a") == sealed {
		t.Errorf("sealed as %s", sealed)
	}
	if got, err := ring(t, 2, 1).Open(sealed, "wh_a"); err != nil || got != "the secret" {
		t.Errorf("opened with the earlier key: %q, %v", got, err)
	}
	b, err := base64.RawStdEncoding.DecodeString(sealed[strings.LastIndexByte(sealed, '.')+1:])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	changed := sealed[:strings.LastIndexByte(sealed, '.')+1] + base64.RawStdEncoding.EncodeToString(b)
	for what, err := range map[string]error{
		"another key":     open(ring(t, 2), sealed, "wh_a"),
		"another webhook": open(k, sealed, "wh_b"),
		"a changed one":   open(k, changed, "wh_a"),
	} {
		if !errors.Is(err, ErrKey) || strings.Contains(err.Error(), "the secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, s := range []string{"", "v1", "v1.x", "v0." + k.ID() + ".AAAA", "v1." + k.ID() + ".", "v1." + k.ID() + ".?", "the secret"} {
		if got, err := k.Open(s, "wh_a"); err == nil {
			t.Errorf("%q opened as %q", s, got)
		}
	}
}

func open(k *Keyring, sealed, owner string) error {
	_, err := k.Open(sealed, owner)
	return err
}

func TestLoadKeyring(t *testing.T) {
	env := map[string]string{}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	path := filepath.Join(t.TempDir(), "data.key")
	if k, made, err := LoadKeyring(lookup, path, false); k != nil || made || err != nil {
		t.Fatalf("without a key: %v %v %v", k, made, err)
	}
	first, made, err := LoadKeyring(lookup, path, true)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("left over: %v, %v", files, err)
	}
	again, made, err := LoadKeyring(lookup, path, true)
	if err != nil || made || again.ID() != first.ID() {
		t.Fatalf("the second start: %v %v", made, err)
	}
	// A key of the environment takes over, and the file's goes on opening.
	env[KeyVariable] = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, keySize))
	k, _, err := LoadKeyring(lookup, path, true)
	if err != nil || k.ID() == first.ID() {
		t.Fatal(err)
	}
	if got, err := k.Open(first.Seal("x", "o"), "o"); err != nil || got != "x" {
		t.Errorf("%q, %v", got, err)
	}
	for name, v := range map[string]string{KeyVariable: "c2hvcnQ=", PreviousKeysVariable: "no base64"} {
		was := env[name]
		env[name] = v
		if _, _, err := LoadKeyring(lookup, path, true); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), v) {
			t.Errorf("%s: %v", name, err)
		}
		env[name] = was
	}
	delete(env, KeyVariable)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadKeyring(lookup, path, true); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: %v", err)
	}
	if _, _, err := LoadKeyring(lookup, filepath.Join(path, "no/folder"), true); err == nil {
		t.Error("a key was made nowhere")
	}
}
