package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// writePair makes a certificate and its key as PEM files.
func writePair(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: cert}, name + ".key": {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func loadIn(t *testing.T, dir, src string) *Config {
	t.Helper()
	c, r := Parse("router.hcl", []byte(src), Options{Dir: dir})
	if c == nil {
		t.Fatal(reportText(t, r))
	}
	return c
}

const wholeDestination = `
defaults {
  secret   = "of the defaults"
  compress = true
  proxy    = "socks5://10.0.0.1"
  auth "bearer" {
    token = "of-the-defaults"
  }
  tls {
    server_name = "of.the.defaults"
  }
}

destination "whole" {
  url             = "https://example.com/"
  format          = "cloudevents-binary"
  compress        = false
  http2           = true
  proxy           = "http://u:p@proxy:3128/"
  forward_headers = ["X-GitHub-Event", "x-shop-*"]
  sign "hmac" {
    secrets  = ["a"]
    header   = "x-hub-signature"
    encoding = "base64"
    prefix   = "v1="
  }
  sign "standard" {
    secrets = ["b", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
  }
  sign "ed25519" {
    keys = ["whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="]
  }
  auth "oauth2" {
    token_url     = "https://auth.example.com/token"
    client_id     = "weir"
    client_secret = "s"
    scopes        = ["one", "two"]
    audience      = "crm"
  }
  tls {
    ca          = "ca.pem"
    cert        = "client.pem"
    key         = "client.key"
    server_name = "inner.example.com"
  }
}

destination "plain" {
  url = "https://example.com/"
}

destination "rotating" {
  url              = "https://example.com/"
  proxy            = ""
  secret           = "new"
  previous_secrets = ["old", "older"]
  auth "basic" {
    username = "u"
    password = "p"
  }
}

destination "subject" {
  url  = "nats://127.0.0.1:4222/orders.paid"
  auth "bearer" {
    token = "t"
  }
}
`

func TestDestinationValues(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, "ca")
	writePair(t, dir, "client")
	src := strings.ReplaceAll(wholeDestination, "of the defaults", "defaults") // a secret has no odd spaces here
	c := loadIn(t, dir, src)
	whole := c.Destination("whole")
	wantSign := []Sign{
		{Scheme: "hmac", Secrets: []Secret{"a"}, Header: "X-Hub-Signature", Encoding: "base64", Prefix: "v1="},
		{Scheme: "standard", Secrets: []Secret{"b", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}},
		{Scheme: "ed25519", Keys: []Secret{"whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="}},
	}
	if whole.Secret != "" || !reflect.DeepEqual(whole.Sign, wantSign) {
		t.Errorf("signing is %q, %#v", whole.Secret.Reveal(), len(whole.Sign))
	}
	wantAuth := &Auth{Kind: "oauth2", TokenURL: "https://auth.example.com/token", ClientID: "weir", ClientSecret: "s", Scopes: []string{"one", "two"}, Audience: "crm"}
	if !reflect.DeepEqual(whole.Auth, wantAuth) {
		t.Errorf("auth is %+v", whole.Auth)
	}
	if whole.Format != FormatCloudEventsBinary || whole.Compress || !whole.HTTP2 || whole.Direct || whole.Proxy.Host != "proxy:3128" ||
		!reflect.DeepEqual(whole.ForwardHeaders, []string{"x-github-event", "x-shop-*"}) {
		t.Errorf("it is %+v", whole)
	}
	for name, got := range map[string][]byte{"ca.pem": whole.TLS.CA, "client.pem": whole.TLS.Cert, "client.key": []byte(whole.TLS.Key)} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is %d bytes: %v", name, len(got), err)
		}
	}
	if whole.TLS.ServerName != "inner.example.com" {
		t.Errorf("server_name is %q", whole.TLS.ServerName)
	}

	plain := c.Destination("plain")
	if plain.Secret != "defaults" || len(plain.Sign) > 0 || !plain.Compress || plain.Proxy.Host != "10.0.0.1" ||
		plain.Auth.Token != "of-the-defaults" || plain.TLS.ServerName != "of.the.defaults" {
		t.Errorf("it is %+v", plain)
	}
	rotating := c.Destination("rotating")
	if rotating.Secret != "new" || !reflect.DeepEqual(rotating.PreviousSecrets, []Secret{"old", "older"}) || !rotating.Direct || rotating.Proxy != nil ||
		rotating.Auth.Kind != "basic" || rotating.Auth.Username != "u" || rotating.Auth.Password != "p" {
		t.Errorf("it is %+v", rotating)
	}
	if d := c.Destination("subject"); d.Kind != "nats" || d.Auth.Token != "t" {
		t.Errorf("it is %+v", d)
	}
	if s := fmt.Sprintf("%v %+v", whole.Auth, whole.Sign); strings.Contains(s, "whsk_") || strings.Contains(s, "MfKQ") {
		t.Errorf("printed: %s", s)
	}
}

// A certificate that has changed is another configuration.
func TestCertificatesAreHashed(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, "ca")
	const src = "destination \"d\" {\n  url = \"https://example.com/\"\n  tls {\n    ca = \"ca.pem\"\n  }\n}\n"
	first := loadIn(t, dir, src)
	if again := loadIn(t, dir, src); again.Hash != first.Hash || !reflect.DeepEqual(again.Destination("d").TLS, first.Destination("d").TLS) {
		t.Error("the same files give another hash")
	}
	writePair(t, dir, "ca")
	if other := loadIn(t, dir, src); other.Hash == first.Hash {
		t.Error("another certificate gives the same hash")
	}
	// Whoever only asks a router needs no files.
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	if c, r := Parse("router.hcl", []byte(src), Options{Dir: dir, ToAsk: true}); c == nil {
		t.Error(reportText(t, r))
	}
}
