package store

import (
	"bytes"

	"github.com/weirhq/weir/router/event"
)

// Content is a message as plugins left it: what differs from the event.
type Content struct {
	Type, Subject, ContentType string
	// Data stands between the first Head and the last Tail bytes of the event's
	// data. Most plugins change little, and what they leave is stored already.
	Head, Tail int
	Data       []byte
	// Header replaces the event's where HeaderChanged is set.
	HeaderChanged bool
	Header        []event.Field
	SetHeader     []event.Field
}

// worthCutting is how many bytes must be the event's own before a content is cut:
// putting it together again is a copy for each attempt.
const worthCutting = 64

// Cut makes data, made of original, what the content has. It keeps data.
func (c *Content) Cut(data, original []byte) {
	c.Head, c.Tail, c.Data = 0, 0, data
	head := sharedHead(data, original)
	tail := sharedTail(data[head:], original[head:])
	if head+tail >= worthCutting {
		c.Head, c.Tail, c.Data = head, tail, data[head:len(data)-tail]
	}
}

// Whole puts the data together again.
func (c *Content) Whole(original []byte) []byte {
	if c.Head == 0 && c.Tail == 0 {
		return c.Data
	}
	data := make([]byte, 0, c.Head+len(c.Data)+c.Tail)
	data = append(data, original[:c.Head]...)
	data = append(data, c.Data...)
	return append(data, original[len(original)-c.Tail:]...)
}

// stride is how many bytes are compared at once.
const stride = 64

func sharedHead(a, b []byte) int {
	most, n := min(len(a), len(b)), 0
	for n+stride <= most && bytes.Equal(a[n:n+stride], b[n:n+stride]) {
		n += stride
	}
	for n < most && a[n] == b[n] {
		n++
	}
	return n
}

func sharedTail(a, b []byte) int {
	most, n := min(len(a), len(b)), 0
	for n+stride <= most && bytes.Equal(a[len(a)-n-stride:len(a)-n], b[len(b)-n-stride:len(b)-n]) {
		n += stride
	}
	for n < most && a[len(a)-n-1] == b[len(b)-n-1] {
		n++
	}
	return n
}
