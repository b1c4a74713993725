package receiver

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// What a receiver found out about the signatures of an arrival.
const (
	SignatureVerified  = "verified"
	SignatureBad       = "BAD SIGNATURE"
	SignatureUnchecked = "unchecked" // no secret was given
)

// Arrival is one attempt as the receiver saw it.
type Arrival struct {
	Time      time.Time
	Event     string
	WebhookID string
	// Attempt is what the header says, 0 where there is none.
	Attempt int
	Replay  string
	// Signature is one of the constants; Problem says what is wrong with a bad
	// one.
	Signature string
	Problem   string
	// Status is what is answered.
	Status int
	Bytes  int
	Body   string
}

// String is one line for people.
func (a Arrival) String() string {
	name := a.Event
	if name == "" {
		name = "-"
	}
	id := a.WebhookID
	if id == "" {
		id = "-"
	}
	s := fmt.Sprintf("%s  %s  %s  attempt %d  %d B  %s  answer %d",
		a.Time.Local().Format("15:04:05.000"), printable(name), printable(id), a.Attempt, a.Bytes, a.Signature, a.Status)
	if a.Problem != "" {
		s += "  (" + a.Problem + ")"
	}
	if a.Replay != "" {
		s += "  replay " + printable(a.Replay)
	}
	return s
}

// printable keeps what a stranger sent from changing the terminal.
func printable(s string) string {
	q := strconv.Quote(s)
	if q == `"`+s+`"` {
		return s
	}
	return q
}

// JSON is the arrival as a line of the log.
func (a Arrival) JSON() []byte { return a.appendJSON(nil) }

// appendJSON appends the line of the log: an object with time, event,
// webhook_id, attempt, verified, status, bytes, body_sha256, and body, or
// body_base64 where the body is not UTF-8.
func (a *Arrival) appendJSON(b []byte) []byte {
	b = append(b, `{"time":`...)
	b = rawjson.AppendString(b, event.FormatTime(a.Time))
	b = append(b, `,"event":`...)
	b = rawjson.AppendString(b, a.Event)
	b = append(b, `,"webhook_id":`...)
	b = rawjson.AppendString(b, a.WebhookID)
	b = append(b, `,"attempt":`...)
	b = strconv.AppendInt(b, int64(a.Attempt), 10)
	b = append(b, `,"verified":`...)
	b = strconv.AppendBool(b, a.Signature == SignatureVerified)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, int64(a.Bytes), 10)
	sum := sha256.Sum256([]byte(a.Body))
	b = append(b, `,"body_sha256":"`...)
	b = hex.AppendEncode(b, sum[:])
	if utf8.ValidString(a.Body) {
		b = append(b, `","body":`...)
		b = rawjson.AppendString(b, a.Body)
	} else {
		b = append(b, `","body_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(a.Body))
		b = append(b, '"')
	}
	return append(b, '}', '\n')
}
