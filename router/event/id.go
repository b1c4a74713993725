package event

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

const (
	idPrefix  = "evt_"
	maxIDSize = 128
)

// lowerBase32 is RFC 4648's alphabet in lower case: no dot, which Standard
// Webhooks forbids in an id.
var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ValidID reports whether s can be used as an event id: 1 to 128 of
// A-Z a-z 0-9 . _ : -
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > maxIDSize {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

// HashID returns the id that stands for one that does not fit: evt_ followed by
// 26 base32 characters of its SHA-256. The same origin gives the same id, so
// that deduplication goes on working.
func HashID(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return idPrefix + lowerBase32.EncodeToString(sum[:])[:26]
}

// NewID returns a fresh router-made id, evt_ followed by a ULID of t. The store
// replaces its low 48 bits by the event's position when it assigns one, see
// [IDAt].
func NewID(t time.Time) string {
	var u ulid.ULID
	_ = u.SetTime(ulid.Timestamp(t)) // it fails after the year 10889
	_, _ = rand.Read(u[6:])          // it never fails
	return prefixed(u)
}

// prefixed is u as an id, in one allocation.
func prefixed(u ulid.ULID) string {
	b := [len(idPrefix) + ulid.EncodedSize]byte{}
	copy(b[:], idPrefix)
	_ = u.MarshalTextTo(b[len(idPrefix):]) // it fails for another length only
	return string(b[:])
}

// IDAt returns id, which must come from [NewID], with the event's log position
// in its low 48 bits: 32 random bits stay. So an event that the router named is
// found by its id without an index.
func IDAt(id string, position uint64) string {
	rest, ok := strings.CutPrefix(id, idPrefix)
	if !ok {
		return id
	}
	u, err := ulid.ParseStrict(rest)
	if err != nil {
		return id
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], position)
	copy(u[10:], b[2:])
	return prefixed(u)
}

// PositionOf returns the log position that a router-made id claims to have. The
// caller must compare the id of the event found there.
func PositionOf(id string) (position uint64, ok bool) {
	if len(id) != len(idPrefix)+ulid.EncodedSize || id[:len(idPrefix)] != idPrefix {
		return 0, false
	}
	u, err := ulid.ParseStrict(id[len(idPrefix):])
	if err != nil {
		return 0, false
	}
	var b [8]byte
	copy(b[2:], u[10:])
	position = binary.BigEndian.Uint64(b[:])
	return position, position > 0
}

// ReplyID is the id of the event that an answer to the delivery with a webhook-id
// makes. It follows from that, so that an answer to a repetition is a duplicate.
func ReplyID(webhookID string) string { return "rep_" + webhookID }

// IsWebhookID says whether a text has the form of a webhook-id.
func IsWebhookID(s string) bool {
	rest, ok := strings.CutPrefix(s, "msg_")
	return ok && len(rest) == 26 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// WebhookID returns the webhook-id of message n of an event on a route for a
// destination. It follows from its arguments alone, so that every attempt,
// retry and replay by the same route carries the same one.
func WebhookID(position uint64, eventID, route string, n int, destination string) string {
	b := make([]byte, 0, 256) // on the stack, and enough for nearly all
	text := func(s string) {  // length first, so that no two lists collide
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	b = binary.BigEndian.AppendUint64(b, position)
	text(eventID)
	text(route)
	b = binary.BigEndian.AppendUint64(b, uint64(n))
	text(destination)
	sum := sha256.Sum256(b)
	const prefix = "msg_"
	var id [len(prefix) + 32]byte
	copy(id[:], prefix)
	lowerBase32.Encode(id[len(prefix):], sum[:20]) // 26 characters are of the first 17 bytes
	return string(id[:len(prefix)+26])
}
