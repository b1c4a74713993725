package webhook

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/sign"
)

const (
	secretPrefix = "whsec_"
	// secretBytes is what a secret of ours has.
	secretBytes = 32
	// Overlap is how long the secret before is still used beside a new one.
	Overlap = 24 * time.Hour
	// maxSecrets bounds those in use at a time.
	maxSecrets = 4
)

// Secret signs a webhook's deliveries, for some time.
type Secret struct {
	// Sealed is what Keyring.Seal made of it.
	Sealed  string    `json:"sealed"`
	Created time.Time `json:"created"`
	// Active is from when on X-Webhook-Signature is by it.
	Active time.Time `json:"active"`
	// Until is when it is not used any more; zero: always.
	Until time.Time `json:"until,omitzero"`
}

func newSecret() string {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b)
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// checkSecret refuses what receivers could not use or anybody could guess. It
// never repeats the secret.
func checkSecret(s string) *problem.Problem {
	if rest, ok := strings.CutPrefix(s, secretPrefix); ok {
		key, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			key, err = base64.RawStdEncoding.DecodeString(rest)
		}
		if err != nil || len(key) < 24 || len(key) > 64 {
			return invalid("secret", "after %s a secret must go on with base64 of 24 to 64 bytes", secretPrefix)
		}
		return nil
	}
	printable := !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' && c != ' ' || c > '~' })
	if len(s) < 16 || len(s) > 256 || !printable || strings.TrimSpace(s) != s {
		return invalid("secret", "a secret has 16 to 256 printable ASCII characters, without a space at its ends; leave it out and one is made")
	}
	return nil
}

// inUse are the secrets that sign at a time, newest first.
func inUse(secrets []Secret, now time.Time) []Secret {
	var list []Secret
	for _, s := range secrets {
		if s.Until.IsZero() || now.Before(s.Until) {
			list = append(list, s)
		}
	}
	return list
}

// Keys are the secrets of a webhook for the signatures of a moment.
type Keys struct {
	// HMAC is for X-Webhook-Signature.
	HMAC config.Secret
	// Standard are for webhook-signature, the newest first.
	Standard []config.Secret
	// Until is when the keys change; zero: they don't by themselves.
	Until time.Time
}

// Keys opens the secrets that sign at a time.
func (r *Registry) Keys(w *Webhook, now time.Time) (Keys, error) {
	var k Keys
	if r.keyring == nil {
		return k, errNoKeyring
	}
	change := func(t time.Time) {
		if now.Before(t) && (k.Until.IsZero() || t.Before(k.Until)) {
			k.Until = t
		}
	}
	for _, s := range inUse(w.Secrets, now) {
		secret, err := r.keyring.Open(s.Sealed, w.ID)
		if err != nil {
			return Keys{}, fmt.Errorf("a secret of webhook %s: %w", w.ID, err)
		}
		if k.HMAC == "" && !now.Before(s.Active) {
			k.HMAC = config.Secret(secret)
		}
		k.Standard = append(k.Standard, config.Secret(secret))
		change(s.Active)
		change(s.Until)
	}
	if n := len(k.Standard); k.HMAC == "" && n > 0 {
		k.HMAC = k.Standard[n-1] // the clock was set back
	}
	return k, nil
}

// Signers sign by the keys: X-Webhook-Signature by one, webhook-signature by all,
// as receivers that know one of them expect it.
func (k *Keys) Signers() ([]sign.Signer, error) {
	if len(k.Standard) == 0 {
		return nil, errors.New("the webhook has no secret")
	}
	secrets := make([]string, len(k.Standard))
	for i, s := range k.Standard {
		secrets[i] = s.Reveal()
	}
	standard, err := sign.NewStandard(secrets...)
	if err != nil {
		return nil, err // they were checked: this can't be
	}
	return []sign.Signer{sign.NewHMAC(k.HMAC.Reveal()), standard}, nil
}
