package plugins

import "strings"

// stderrSize is how much of a guest's stderr is kept, in bytes.
const stderrSize = 4 << 10

// tail keeps the first and the last part of what is written to it: a panic's
// text stands first and may be followed by a long trace.
type tail struct {
	head, last []byte
	lost       bool
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if room := stderrSize/2 - len(t.head); room > 0 {
		k := min(room, len(p))
		t.head = append(t.head, p[:k]...)
		p = p[k:]
	}
	if len(p) > stderrSize/2 {
		p = p[len(p)-stderrSize/2:]
		t.last = t.last[:0]
		t.lost = true
	}
	if over := len(t.last) + len(p) - stderrSize/2; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
		t.lost = true
	}
	t.last = append(t.last, p...)
	return n, nil
}

// String returns what was kept, as valid UTF-8.
func (t *tail) String() string {
	s := string(t.head)
	if t.lost {
		s += "\n…\n"
	}
	return strings.ToValidUTF8(s+string(t.last), "\uFFFD")
}

func (t *tail) reset() { t.head, t.last, t.lost = t.head[:0], t.last[:0], false }
