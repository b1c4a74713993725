package attempt

import (
	"fmt"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/sign"
)

// Signers are those that a destination is configured with; none where deliveries
// are unsigned. Standard and ed25519 share a header, and so a signer.
func Signers(c *config.Destination) ([]sign.Signer, error) {
	if len(c.Sign) == 0 {
		list, err := sign.ForSecret(c.Secret.Reveal(), reveal(c.PreviousSecrets)...)
		if err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		return list, nil
	}
	var list []sign.Signer
	var secrets, keys []string
	for _, s := range c.Sign {
		switch s.Scheme {
		case "hmac":
			if len(s.Secrets) == 0 {
				return nil, fmt.Errorf("sign %q has no secret", s.Scheme)
			}
			form := sign.HMACForm{Header: s.Header, Base64: s.Encoding == "base64", Prefix: s.Prefix}
			list = append(list, sign.NewHMACIn(form, s.Secrets[0].Reveal()))
		case "standard":
			secrets = append(secrets, reveal(s.Secrets)...)
		case "ed25519":
			keys = append(keys, reveal(s.Keys)...)
		default:
			return nil, fmt.Errorf("there is no scheme %q", s.Scheme)
		}
	}
	if len(secrets)+len(keys) == 0 {
		return list, nil
	}
	standard, err := sign.NewStandard(secrets...)
	if err == nil {
		err = standard.AddKeys(keys...)
	}
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return append(list, standard), nil
}

func reveal(secrets []config.Secret) []string {
	var list []string
	for _, s := range secrets {
		list = append(list, s.Reveal())
	}
	return list
}
