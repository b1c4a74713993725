package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/weirhq/weir/router/event"
)

// ClientTLS is what a destination says of its TLS connections. Files are read
// when the configuration is loaded.
type ClientTLS struct {
	// CA holds the certificates, as PEM, that the receiver's must be signed by;
	// empty: the system's.
	CA []byte
	// Cert and Key are Weir's own, as PEM; empty: it shows none.
	Cert []byte
	Key  Secret
	// ServerName is the name that the receiver's certificate must have; empty:
	// the URL's host.
	ServerName string
}

// maxPEMSize bounds a file of certificates.
const maxPEMSize = 4 << 20

// clientTLS reads the tls block.
func (l *loader) clientTLS(b *hclsyntax.Block, d *Destination) {
	block := l.one(b, "tls")
	if block == nil {
		return
	}
	l.noLabels(block)
	l.check(block.Body, clientTLSSchema, "tls")
	t := &ClientTLS{}
	good := true
	read := func(name string) []byte {
		b, ok := l.pem(attribute(block, name))
		good = good && ok
		return b
	}
	if t.CA = read("ca"); t.CA != nil && !x509.NewCertPool().AppendCertsFromPEM(t.CA) {
		l.fail(block.Body.Attributes["ca"].Expr.Range(), "No certificate", "There is no certificate in it that can be read. It must be PEM: -----BEGIN CERTIFICATE-----.")
	}
	t.Cert = read("cert")
	t.Key = Secret(read("key"))
	cert, key := attribute(block, "cert"), attribute(block, "key")
	switch {
	case cert != nil && key == nil:
		l.missing(block, "key", `key = "client.key"`)
	case cert == nil && key != nil:
		l.missing(block, "cert", `cert = "client.pem"`)
	case cert != nil && good && t.Cert != nil:
		// The error's text may quote what it read.
		if _, err := tls.X509KeyPair(t.Cert, []byte(t.Key)); err != nil {
			l.fail(cert.Expr.Range(), "Not a pair", "The certificate and the key can't be read as PEM, or do not belong together.")
		}
	}
	if a := attribute(block, "server_name"); a != nil {
		if v, ok := l.text(a); ok {
			if v == "" || strings.ContainsAny(v, "/: ") || !event.ValidHeaderValue(v) {
				l.fail(a.Expr.Range(), "Not a name", `A server_name is a host's name, such as "hooks.internal", without port.`)
			}
			t.ServerName = v
		}
	}
	d.TLS = t
}

// pem reads an attribute that names a file of certificates or keys, or that is
// the text of one. Its error does not show the text.
func (l *loader) pem(a *hclsyntax.Attribute) ([]byte, bool) {
	if a == nil {
		return nil, true
	}
	v, ok := l.text(a)
	if !ok {
		return nil, false
	}
	if strings.HasPrefix(strings.TrimSpace(v), "-----BEGIN ") {
		return []byte(v), true
	}
	if strings.ContainsAny(v, "\r\n\x00") || v == "" {
		l.fail(a.Expr.Range(), "Not a file", "The value of %q is neither the path of a file nor PEM.", a.Name)
		return nil, false
	}
	b, err := readFile(l.path(v, a.Expr.Range()), maxPEMSize)
	switch {
	case err != nil && l.opts.ToAsk:
		return nil, true
	case err != nil:
		l.fail(a.Expr.Range(), "File can't be read", "%s", sentence(err.Error()))
		return nil, false
	}
	l.digest(filepath.Base(v), b)
	if p, _ := pem.Decode(b); p == nil {
		l.fail(a.Expr.Range(), "Not PEM", "The file holds no PEM, which begins with -----BEGIN.")
		return nil, false
	}
	return b, true
}
