package attempt

import (
	"bufio"
	"strings"
	"testing"
)

// BenchmarkAnswer is reading an answer as receivers give it.
func BenchmarkAnswer(b *testing.B) {
	const text = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n" +
		"Content-Length: 0\r\nConnection: keep-alive\r\n\r\n"
	h := &reader{in: bufio.NewReaderSize(nil, 4<<10)}
	r := strings.NewReader(text)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(text)
		h.reset(r)
		a, err := h.head()
		if err != nil || a.status != 200 || !a.keep {
			b.Fatal(a, err)
		}
	}
}
