package webhook

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The variables of the environment that hold keys: the one that secrets are
// encrypted with, and those that only decrypt, parted by commas.
const (
	KeyVariable          = "WEIR_SECRET_KEY"
	PreviousKeysVariable = "WEIR_SECRET_KEY_PREVIOUS"
)

// keySize is that of AES-256.
const keySize = 32

// sealVersion marks what Seal makes: AES-256-GCM (NIST SP 800-38D) with a random
// nonce of 12 bytes before the ciphertext.
const sealVersion = "v1"

// ErrKey says that none of a keyring's keys opens what was sealed.
var ErrKey = errors.New("none of the keys opens it")

// Keyring encrypts the secrets of registered webhooks, and the configurations that
// are kept beside events. It is immutable and safe for concurrent use. No error of
// it holds a key or a secret.
type Keyring struct {
	seal string // the id of the key that seals
	keys map[string]cipher.AEAD
}

// NewKeyring returns one that seals with the first key and opens with all. Keys
// have 32 bytes.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	k := &Keyring{keys: map[string]cipher.AEAD{}}
	for _, key := range keys {
		if len(key) != keySize {
			return nil, fmt.Errorf("a key has %d bytes, and must have %d", len(key), keySize)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		id := keyID(key)
		if k.seal == "" {
			k.seal = id
		}
		k.keys[id] = aead
	}
	if k.seal == "" {
		return nil, errors.New("there is no key")
	}
	return k, nil
}

// keyID names a key without telling it.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("weir webhook key id\n"), key...))
	return hex.EncodeToString(sum[:4])
}

// ID is that of the key that seals.
func (k *Keyring) ID() string { return k.seal }

// Seal encrypts a secret. owner, which Open must be given again, ties it to its
// place: a sealed secret that is copied to another webhook does not open.
func (k *Keyring) Seal(secret, owner string) string {
	aead := k.keys[k.seal]
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(secret)+aead.Overhead())
	_, _ = rand.Read(nonce) // it never fails
	sealed := aead.Seal(nonce, nonce, []byte(secret), []byte(owner))
	return sealVersion + "." + k.seal + "." + base64.RawStdEncoding.EncodeToString(sealed)
}

// Open decrypts what Seal has made. The error is ErrKey where the key is not
// there or not the right one, and says which it would have to be.
func (k *Keyring) Open(sealed, owner string) (string, error) {
	version, rest, _ := strings.Cut(sealed, ".")
	id, text, ok := strings.Cut(rest, ".")
	if !ok || version != sealVersion {
		return "", errors.New("what is stored is no sealed secret")
	}
	aead := k.keys[id]
	if aead == nil {
		return "", fmt.Errorf("it is encrypted with the key %s, and there is only %s: %w", id, strings.Join(k.ids(), ", "), ErrKey)
	}
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(b) < aead.NonceSize() {
		return "", errors.New("what is stored is no sealed secret")
	}
	secret, err := aead.Open(nil, b[:aead.NonceSize()], b[aead.NonceSize():], []byte(owner))
	if err != nil {
		return "", fmt.Errorf("it was changed, or belongs to another webhook: %w", ErrKey)
	}
	return string(secret), nil
}

// SealBytes is as Seal for bytes: the key's id, 4 bytes, then the nonce and what is
// encrypted.
func (k *Keyring) SealBytes(b []byte, owner string) []byte {
	aead := k.keys[k.seal]
	id, _ := hex.DecodeString(k.seal) // it is hex
	out := make([]byte, len(id)+aead.NonceSize(), len(id)+aead.NonceSize()+len(b)+aead.Overhead())
	copy(out, id)
	_, _ = rand.Read(out[len(id):]) // it never fails
	return aead.Seal(out, out[len(id):], b, []byte(owner))
}

// OpenBytes decrypts what SealBytes has made. The error is ErrKey as that of Open.
func (k *Keyring) OpenBytes(sealed []byte, owner string) ([]byte, error) {
	const idSize = 4
	if len(sealed) < idSize {
		return nil, errors.New("what is stored is nothing sealed")
	}
	id, rest := hex.EncodeToString(sealed[:idSize]), sealed[idSize:]
	aead := k.keys[id]
	if aead == nil {
		return nil, fmt.Errorf("it is encrypted with the key %s, and there is only %s: %w", id, strings.Join(k.ids(), ", "), ErrKey)
	}
	if len(rest) < aead.NonceSize() {
		return nil, errors.New("what is stored is nothing sealed")
	}
	b, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], []byte(owner))
	if err != nil {
		return nil, fmt.Errorf("it was changed, or belongs to something else: %w", ErrKey)
	}
	return b, nil
}

// current reports whether the key that seals now is the one that sealed.
func (k *Keyring) current(sealed string) bool {
	return strings.HasPrefix(sealed, sealVersion+"."+k.seal+".")
}

func (k *Keyring) ids() []string {
	ids := []string{k.seal}
	for id := range k.keys {
		if id != k.seal {
			ids = append(ids, id)
		}
	}
	return ids
}

// KeyFile is the key file of a store: beside its folder, so that a copy of the
// folder does not hold the key.
func KeyFile(storePath string) string { return filepath.Clean(storePath) + ".key" }

// LoadKeyring takes the keys from the environment, else from the file at path. A
// file that is not there is made where mayMake is set: made is then true, and
// whoever runs the router should keep a copy, because without it the secrets are
// lost. Without both the keyring is nil, and no error.
func LoadKeyring(lookup func(string) (string, bool), path string, mayMake bool) (k *Keyring, made bool, err error) {
	var keys [][]byte
	if v, ok := lookup(KeyVariable); ok && v != "" {
		key, err := parseKey(v)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", KeyVariable, err)
		}
		keys = append(keys, key)
	} else {
		key, err := readKeyFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && mayMake:
			if key, err = makeKeyFile(path); err != nil {
				return nil, false, err
			}
			made = true
		case errors.Is(err, fs.ErrNotExist):
			return nil, false, nil
		case err != nil:
			return nil, false, err
		}
		keys = append(keys, key)
	}
	if v, ok := lookup(PreviousKeysVariable); ok {
		for text := range strings.SplitSeq(v, ",") {
			if strings.TrimSpace(text) == "" {
				continue
			}
			key, err := parseKey(text)
			if err != nil {
				return nil, made, fmt.Errorf("%s: %w", PreviousKeysVariable, err)
			}
			keys = append(keys, key)
		}
	}
	// A key of the environment takes over from the file's, which goes on opening.
	if key, err := readKeyFile(path); err == nil {
		keys = append(keys, key)
	}
	k, err = NewKeyring(keys...)
	return k, made, err
}

func parseKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("a key is base64 of %d bytes: make one with openssl rand -base64 %d", keySize, keySize)
	}
	return key, nil
}

func readKeyFile(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the key file %s may be read by others: chmod 600 it", path)
	}
	key, err := parseKey(string(bytes.TrimSpace(b)))
	if err != nil {
		return nil, fmt.Errorf("the key file %s: %w", path, err)
	}
	return key, nil
}

// makeKeyFile makes a key. It is on disk when it returns: what is encrypted with
// it must not outlive it.
func makeKeyFile(path string) ([]byte, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key)
	err := writeDurably(path, append(base64.StdEncoding.AppendEncode(nil, key), '\n'))
	if err != nil {
		return nil, fmt.Errorf("make the key file of the webhooks' secrets (or set %s): %w", KeyVariable, err)
	}
	return key, nil
}

// writeDurably makes a file whole or not at all.
func writeDurably(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// Not over one that another start has made meanwhile.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
