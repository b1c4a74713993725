package attempt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/weirhq/weir/router/attempt/guard"
)

// reason puts an error into one of the classes. ctx is the caller's, without
// the timeout.
func (s *httpSender) reason(ctx context.Context, err error, at stage) string {
	var dns *net.DNSError
	var network net.Error
	var blocked *guard.Blocked
	var request errRequest
	var token errToken
	switch {
	case errors.As(err, &blocked):
		return ReasonBlocked
	case errors.As(err, &request):
		return ReasonConfig
	case ctx.Err() != nil:
		return ReasonStopped
	case errors.As(err, &token):
		return ReasonAuth
	case errors.Is(err, errSwitched):
		return ReasonProtocol
	case errors.Is(err, context.DeadlineExceeded):
		return ReasonTimeout
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return ReasonTimeout
		}
		return ReasonDNS
	case errors.As(err, &network) && network.Timeout():
		return ReasonTimeout
	case isTLS(err) || at == handshaking:
		return ReasonTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return ReasonRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return ReasonReset
	case at == connecting:
		return ReasonRefused // no route to host, network down, a proxy's refusal
	case errors.Is(err, errHead):
		return ReasonTooLarge
	}
	return ReasonProtocol
}

func isTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		record       tls.RecordHeaderError
		alert        tls.AlertError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		op           *net.OpError
	)
	// An alert that came: in TLS 1.3 a missing certificate is told after the
	// handshake.
	if errors.As(err, &op) && op.Op == "remote error" {
		return true
	}
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid)
}

// explain says for people what went wrong. Only text of classes whose errors
// can't quote a URL or a header is passed on.
func (s *httpSender) explain(o *Outcome, err error, at stage) string {
	switch o.Reason {
	case ReasonConfig, ReasonAuth:
		return err.Error()
	case ReasonStopped:
		return "the router stopped before the answer was there"
	case ReasonBlocked:
		var blocked *guard.Blocked
		errors.As(err, &blocked)
		return s.host + " is not allowed: " + blocked.Error()
	case ReasonTimeout:
		where, limit := "waiting for the answer of "+s.host, s.timeout
		if at != connected && (limit == 0 || limit > connectTimeout) {
			limit = connectTimeout
		}
		switch {
		case o.Status != 0:
			where = fmt.Sprintf("reading the body after status %d", o.Status)
		case at == handshaking:
			where = "in the TLS handshake with " + s.host
		case at == connecting:
			where = "connecting to " + s.host
		}
		return fmt.Sprintf("no whole answer within %s: the time ran out %s", limit, where)
	case ReasonDNS:
		return fmt.Sprintf("the name of %s did not resolve", s.host)
	case ReasonRefused:
		return fmt.Sprintf("connect to %s: %s", s.host, err)
	case ReasonTLS:
		return fmt.Sprintf("TLS with %s: %s", s.host, err)
	case ReasonReset:
		if o.Status != 0 {
			return fmt.Sprintf("%s closed the connection in the middle of the body, after status %d", s.host, o.Status)
		}
		return fmt.Sprintf("%s closed the connection before a whole answer", s.host)
	case ReasonTooLarge:
		return fmt.Sprintf("the answer's headers are larger than %d KiB", MaxHeader>>10)
	}
	if errors.Is(err, errUnasked) {
		return s.host + " sent something before it had the request"
	}
	return fmt.Sprintf("%s did not answer in HTTP: %s", s.host, shorten(err.Error()))
}

// anonymous leaves out of an error what tells a stranger about the network that
// the router is in: addresses, and where private is set, what the other side said.
func anonymous(err error, private bool) error {
	var blocked *guard.Blocked
	var op *net.OpError
	switch {
	case errors.As(err, &blocked):
		return blocked
	case errors.Is(err, errUnasked), errors.As(err, new(errRequest)):
		return err
	case private:
		return errors.New("details are not kept for its network")
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// shorten cuts text that a receiver may have written.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
