package config

import (
	"net/http"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/sign"
)

// Sign is one block that says how deliveries are signed.
type Sign struct {
	// Scheme is "hmac", "standard" or "ed25519".
	Scheme string
	// Secrets are never empty for hmac, where the first one signs, and standard,
	// where each one does. Keys are never empty for ed25519.
	Secrets []Secret
	Keys    []Secret
	// Header (in canonical spelling), Encoding ("hex", "base64") and Prefix are
	// hmac's.
	Header, Encoding, Prefix string
}

// Signed reports whether deliveries carry a signature.
func (d *Destination) Signed() bool { return d.Secret != "" || len(d.Sign) > 0 }

// signing reads secret, previous_secrets and the sign blocks. A block that says
// one of them replaces what the defaults say of all.
func (l *loader) signing(b *hclsyntax.Block, d *Destination) {
	secret, previous, blocks := attribute(b, "secret"), attribute(b, "previous_secrets"), within(b, "sign")
	if len(blocks) > 0 {
		for _, a := range []*hclsyntax.Attribute{secret, previous} {
			if a != nil {
				l.fail(a.NameRange, "Two ways to sign", "With a sign block only such blocks count. Put the secret into one, or leave the block out: secret stands for sign \"hmac\" and sign \"standard\".")
			}
		}
		d.Secret, d.PreviousSecrets = "", nil
		d.Sign = l.signBlocks(blocks)
	}
	if secret != nil {
		d.Secret, d.PreviousSecrets = l.secret(secret), nil
		l.checkStandard(secret.Expr.Range(), d.Secret)
		if len(blocks) == 0 {
			d.Sign = nil
		}
	}
	if previous == nil {
		return
	}
	d.PreviousSecrets = l.secrets(previous)
	for _, s := range d.PreviousSecrets {
		l.checkStandard(previous.Expr.Range(), s)
	}
	if d.Secret == "" && secret == nil && len(blocks) == 0 {
		l.fail(previous.NameRange, "No current secret", "previous_secrets are those that receivers may still have beside the current one: set secret too.")
	}
}

func (l *loader) checkStandard(r hcl.Range, s Secret) {
	if _, err := sign.NewStandard(s.Reveal()); err != nil {
		l.fail(r, "Malformed secret", "%s", sentence(err.Error()))
	}
}

func (l *loader) signBlocks(blocks []*hclsyntax.Block) []Sign {
	var list []Sign
	headers := map[string]hcl.Range{}
	for _, b := range blocks {
		if !l.oneLabel(b, `sign "standard"`) {
			continue
		}
		scheme := b.Labels[0]
		if !l.choice(b.LabelRanges[0], scheme, []string{"hmac", "standard", "ed25519"}, nil) {
			continue
		}
		l.check(b.Body, signSchemas[scheme], `sign "`+scheme+`"`)
		s := Sign{Scheme: scheme}
		place := scheme // of the signature: one header each, but for the two that share one
		switch scheme {
		case "hmac":
			l.signHMAC(b, &s)
			place = s.Header
		case "standard":
			s.Secrets = l.neededSecrets(b, "secrets")
			for _, secret := range s.Secrets {
				l.checkStandard(b.Body.Attributes["secrets"].Expr.Range(), secret)
			}
		case "ed25519":
			s.Keys = l.neededSecrets(b, "keys")
			for _, key := range s.Keys {
				if err := new(sign.Standard).AddKeys(key.Reveal()); err != nil {
					l.fail(b.Body.Attributes["keys"].Expr.Range(), "Malformed key", "%s", sentence(err.Error()))
				}
			}
		}
		if first, taken := headers[place]; taken {
			l.fail(b.DefRange(), "Second signature", "Another block at line %d writes the same header. List several secrets in one block, or choose another header.", first.Start.Line)
			continue
		}
		headers[place] = b.DefRange()
		list = append(list, s)
	}
	return list
}

// neededSecrets reads a list of secrets that a block can't be without.
func (l *loader) neededSecrets(b *hclsyntax.Block, name string) []Secret {
	a := attribute(b, name)
	if a == nil {
		l.missing(b, name, name+` = [env("SECRET")]`)
		return nil
	}
	return l.secrets(a)
}

func (l *loader) signHMAC(b *hclsyntax.Block, s *Sign) {
	s.Secrets = l.neededSecrets(b, "secrets")
	if len(s.Secrets) > 1 {
		l.warn(b.Body.Attributes["secrets"].Expr.Range(), "Only the first secret signs", `The header of hmac has room for one signature. sign "standard" signs by each secret, so that receivers can change theirs at any time.`)
	}
	s.Header, s.Encoding, s.Prefix = sign.HeaderHMAC, "hex", ""
	header := attribute(b, "header")
	if header != nil {
		if v, ok := l.text(header); ok {
			switch {
			case !event.ValidHeaderName(v):
				l.fail(header.Expr.Range(), "Invalid header", "%q is no name of a header.", v)
			case event.ReservedHeader(v) && !strings.EqualFold(v, sign.HeaderHMAC):
				l.fail(header.Expr.Range(), "Reserved header", "The header %q is set by the router.", strings.ToLower(v))
			}
			s.Header = http.CanonicalHeaderKey(v)
		}
	}
	if s.Header == sign.HeaderHMAC {
		s.Prefix = sign.DefaultHMACPrefix
	}
	s.Encoding = l.oneOf(attribute(b, "encoding"), s.Encoding, []string{"hex", "base64"}, nil)
	if a := attribute(b, "prefix"); a != nil {
		if v, ok := l.text(a); ok {
			if !event.ValidHeaderValue(v + "x") {
				l.fail(a.Expr.Range(), "Invalid header", "The prefix begins with a space, or has characters that a header can't have.")
			}
			s.Prefix = v
		}
	}
}
