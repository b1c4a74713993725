package source

import (
	"net/url"
	"time"

	"github.com/weirhq/weir/router/event"
)

// Request is one request as it reached the router. Its bytes and strings, those of
// Header and Query too, may be reused by the server once Accept has returned.
type Request struct {
	// Method is POST, or GET for a handshake.
	Method string
	Path   string
	// Header holds all fields in order, with names in any case.
	Header []event.Field
	Query  url.Values
	// RawQuery is the query as it was sent, without the question mark.
	RawQuery string
	// ContentType is the header's, empty where there is none.
	ContentType string
	// Body is as it came over the wire, not decompressed.
	Body []byte
	// Received is when the request was read.
	Received time.Time
}

// header returns the first field called name, which is in lower case, in any case.
func (r *Request) header(name string) string {
	for _, f := range r.Header {
		if equalFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}
