package event

import (
	"strings"
	"testing"
)

func TestReservedHeader(t *testing.T) {
	for name, want := range map[string]bool{
		"host": true, "Host": true, "content-length": true, "Content-Type": true, "transfer-encoding": true,
		"connection": true, "user-agent": true, "authorization": true, "Authorization": true,
		"te": true, "trailer": true, "upgrade": true, "expect": true, "keep-alive": true,
		"proxy-authorization": true, "Proxy-Connection": true, "proxy-x": true,
		"webhook-id": true, "Webhook-X": true, "X-Webhook-Signature": true, "x-webhook-anything": true,
		"": false, "x-hosts": false, "hosts": false, "content-encoding": false, "accept": false, "webhook": false,
		"x-webhook": false, "x-authorization": false, "idempotency-key": false, "cookie": false, "x-proxy-a": false,
	} {
		if got := ReservedHeader(name); got != want {
			t.Errorf("ReservedHeader(%q) = %v", name, got)
		}
	}
}

func TestValidHeader(t *testing.T) {
	for name, want := range map[string]bool{
		"x-a": true, "X_A.1": true, "!#$%&'*+-.^_`|~": true,
		"": false, "x a": false, "x:a": false, "é": false, "x\n": false, "x\x00": false, "(x)": false, "x@y": false,
	} {
		if got := ValidHeaderName(name); got != want {
			t.Errorf("ValidHeaderName(%q) = %v", name, got)
		}
	}
	for value, want := range map[string]bool{
		"": true, "a b": true, "a\tb": true, "é": true, strings.Repeat("v", 10000): true,
		"a\r\nb: c": false, "a\nb": false, "\x00": false, "\x7f": false, "\x1b[0m": false, " a": false, "a ": false, "\ta": false, "\xff": false,
	} {
		if got := ValidHeaderValue(value); got != want {
			t.Errorf("ValidHeaderValue(%q) = %v", value, got)
		}
	}
}
