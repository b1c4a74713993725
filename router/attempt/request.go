package attempt

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/sign"
)

// Headers of the protocol, in their canonical spelling, besides those of package
// sign.
const (
	headerEvent     = "X-Webhook-Event"
	headerAttempt   = "X-Webhook-Attempt"
	headerReplay    = "X-Webhook-Replay"
	headerTrace     = "Traceparent"
	headerState     = "Tracestate"
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
)

// prelude is the beginning of each request to a URL: the request line, the host
// and the user agent. With absolute the request is for a proxy that forwards it.
func prelude(u *url.URL, absolute bool) ([]byte, error) {
	host, err := httpguts.PunycodeHostPort(u.Host)
	if err != nil || !httpguts.ValidHostHeader(host) {
		return nil, errors.New("the URL's host is no name")
	}
	host = withoutZone(host)
	target := u.RequestURI()
	if absolute {
		target = u.Scheme + "://" + host + target
	}
	for _, c := range []byte(target) {
		if c < ' ' || c == 0x7f {
			return nil, errors.New("the URL holds a control character")
		}
	}
	b := append([]byte("POST "), target...)
	b = appendField(append(b, " HTTP/1.1\r\n"...), "Host", host)
	return appendField(b, "User-Agent", UserAgent), nil
}

// withoutZone drops the zone of an IPv6 address: it means something on this
// machine only (RFC 6874).
func withoutZone(host string) string {
	end := strings.LastIndexByte(host, ']')
	if end < 0 {
		return host
	}
	if zone := strings.LastIndexByte(host[:end], '%'); zone >= 0 {
		return host[:zone] + host[end:]
	}
	return host
}

// request makes the request of a delivery into x. authorization, where not empty,
// is a header's value. No header can come twice: what Weir sets itself is reserved,
// a plugin's header hides the destination's, and that one the event's.
func (s *httpSender) request(x *exchange, d *Delivery, authorization string) error {
	body, zipped, err := s.encode(x, d)
	if err != nil {
		return err
	}
	b := append(x.out[:0], s.prelude...)
	for _, f := range s.fields {
		if !sets(d.Header, f.Name) && !d.traces(f.Name) {
			b = appendField(b, f.Name, f.Value)
		}
	}
	if authorization != "" {
		b = appendField(b, "Authorization", authorization)
	}
	if b, err = s.pluginFields(b, d); err != nil {
		return err
	}
	if len(s.forward) > 0 {
		b = s.forwardFields(b, d)
	}
	for _, f := range d.Attributes {
		if err := checkField(f.Name, f.Value); err != nil {
			return err
		}
		b = appendField(b, f.Name, f.Value)
	}
	if zipped {
		b = appendField(b, "Content-Encoding", "gzip")
	}
	for _, f := range [...]struct{ name, value string }{
		{"Content-Type", d.ContentType},
		{headerEvent, d.EventType},
		{headerReplay, d.Replay},
		{headerID, d.WebhookID},
		{headerTrace, d.Traceparent},
		{headerState, d.Tracestate},
	} {
		if f.value == "" {
			continue
		}
		if !event.ValidHeaderValue(f.value) {
			return checkField(f.name, f.value)
		}
		b = appendField(b, f.name, f.value)
	}
	b = appendNumber(b, headerAttempt, int64(d.Number))
	b = appendNumber(b, headerTimestamp, d.Time.Unix())
	for _, signer := range s.signers {
		b = signer.AppendField(b, sign.Message{ID: d.WebhookID, Time: d.Time, Body: body})
	}
	b = appendNumber(b, "Content-Length", int64(len(body)))
	b = append(b, "\r\n"...)
	x.headSize, x.sent = len(b), body
	if len(b)+len(body) <= maxJoined {
		b, x.apart = append(b, body...), nil
	} else {
		x.apart = body
	}
	x.out = b
	return nil
}

// traces reports whether a header is one that Weir itself sets with tracing.
func (d *Delivery) traces(name string) bool {
	return d.Traceparent != "" && (strings.EqualFold(name, headerTrace) || strings.EqualFold(name, headerState))
}

// encode returns the body as it is sent, and whether it is compressed. One that a
// plugin or the destination says an encoding of is left as it is.
func (s *httpSender) encode(x *exchange, d *Delivery) (body []byte, zipped bool, err error) {
	if !s.compressed || len(d.Body) < compressFrom || sets(d.Header, encodingHeader) || sets(s.fields, encodingHeader) {
		return d.Body, false, nil
	}
	smaller, ok, err := x.compress(d.Body)
	if err != nil || !ok {
		return d.Body, false, err
	}
	return smaller, true, nil
}

const encodingHeader = "Content-Encoding"

// pluginFields appends what plugins set. The plugin host refuses these mistakes
// already: sending without what a plugin meant to send would hide that it did
// not.
func (s *httpSender) pluginFields(b []byte, d *Delivery) ([]byte, error) {
	for _, f := range d.Header {
		if event.ReservedHeader(f.Name) || s.signs(f.Name) {
			return nil, fmt.Errorf("set by a plugin: the header %q is reserved", f.Name)
		}
		if err := checkField(f.Name, f.Value); err != nil {
			return nil, fmt.Errorf("set by a plugin: %w", err)
		}
		if len(d.Attributes) > 0 && event.IsCloudEventHeader(f.Name) {
			continue // it is one of the attributes
		}
		if d.traces(f.Name) {
			continue
		}
		b = appendField(b, http.CanonicalHeaderKey(f.Name), f.Value)
	}
	return b, nil
}

// forwardFields appends the event's headers that the destination forwards and
// that nobody else sets. One that came more than once is joined, as everywhere.
func (s *httpSender) forwardFields(b []byte, d *Delivery) []byte {
	for i, f := range d.EventHeader {
		if !s.forwardsHeader(f.Name) || d.traces(f.Name) || sets(d.Header, f.Name) || sets(s.fields, f.Name) || sets(d.Attributes, f.Name) ||
			sets(d.EventHeader[:i], f.Name) || len(d.Attributes) > 0 && event.IsCloudEventHeader(f.Name) {
			continue
		}
		value := f.Value
		for _, more := range d.EventHeader[i+1:] {
			if more.Name == f.Name {
				value += ", " + more.Value
			}
		}
		// Where it can't be sent as it is, the producer sent what nobody can.
		if checkField(f.Name, value) == nil {
			b = appendField(b, http.CanonicalHeaderKey(f.Name), value)
		}
	}
	return b
}

func (s *httpSender) forwardsHeader(name string) bool {
	if !event.ForwardableHeader(name) || s.signs(name) {
		return false
	}
	for _, pattern := range s.forward {
		if event.MatchType(pattern, name) {
			return true
		}
	}
	return false
}

// signs reports whether a header of the name holds a signature.
func (s *httpSender) signs(name string) bool {
	for _, h := range s.signatures {
		if strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

func appendNumber(b []byte, name string, n int64) []byte {
	b = append(append(b, name...), ": "...)
	return append(strconv.AppendInt(b, n, 10), "\r\n"...)
}

// sets reports whether one of the fields has the name.
func sets(fields []event.Field, name string) bool {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

// checkField refuses what would not arrive as it is. It does not show the value,
// which may be a credential.
func checkField(name, value string) error {
	switch {
	case name == "":
		return errors.New("a header has no name")
	case !event.ValidHeaderName(name):
		return fmt.Errorf("%q is no name of a header", name)
	case !event.ValidHeaderValue(value):
		return fmt.Errorf("the value of the header %q holds what a header can't, such as a control character", name)
	}
	return nil
}
