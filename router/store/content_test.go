package store_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

func TestContentIsPutTogetherAgain(t *testing.T) {
	long := strings.Repeat("0123456789", 30)
	for _, tt := range []struct {
		name, original, data string
		kept                 int // bytes of the content's own
	}{
		{"nothing alike", long, "x", 1},
		{"the same", long, long, 0},
		{"changed within", long + "a" + long, long + "bcd" + long, 3},
		{"removed within", long + "abc" + long, long + long, 0},
		{"put in front", long, "abc" + long, 3},
		{"put behind", long, long + "abc", 3},
		{"shorter", long, long[:100], 0},
		{"repeated", long, long + long, len(long)},
		{"too little to be cut", "abcdef", "abXdef", 6},
		{"empty", long, "", 0},
		{"of nothing", "", long, len(long)},
	} {
		c := store.Content{Head: 5, Tail: 5}
		c.Cut([]byte(tt.data), []byte(tt.original))
		if got := c.Whole([]byte(tt.original)); string(got) != tt.data {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.data)
		}
		if len(c.Data) != tt.kept {
			t.Errorf("%s: %d bytes are kept, want %d", tt.name, len(c.Data), tt.kept)
		}
		r := store.Routing{Contents: []store.Content{c}}
		m := r.Message(&event.Event{Data: []byte(tt.original)}, &store.Delivery{Content: 0})
		if string(m.Data) != tt.data {
			t.Errorf("%s: the message has %q", tt.name, m.Data)
		}
	}
}

func FuzzContent(f *testing.F) {
	f.Add([]byte(strings.Repeat("ab", 100)), []byte("c"), uint(3), uint(9))
	f.Fuzz(func(t *testing.T, original, put []byte, at, until uint) {
		at %= uint(len(original) + 1)
		until = at + until%(uint(len(original))-at+1)
		data := append(append(bytes.Clone(original[:at]), put...), original[until:]...)
		var c store.Content
		c.Cut(data, original)
		if got := c.Whole(original); !bytes.Equal(got, data) {
			t.Errorf("got %q, want %q", got, data)
		}
	})
}
