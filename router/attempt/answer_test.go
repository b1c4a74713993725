package attempt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// readAnswer reads one answer as an attempt does.
func readAnswer(r io.Reader) (a answer, body []byte, whole bool, rest int, err error) {
	h := &reader{in: bufio.NewReaderSize(nil, 4<<10)}
	h.reset(r)
	if a, err = h.head(); err == nil {
		body, whole, err = h.body(a)
	}
	return a, body, whole, h.in.Buffered(), err
}

func TestAnswer(t *testing.T) {
	long := strings.Repeat("x", 10<<10)
	tests := map[string]struct {
		text string
		want string // status, keep, Retry-After and body
	}{
		"sized":                     {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 true  ok"},
		"bare line feeds":           {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "200 true  ok"},
		"names in any case":         {"HTTP/1.1 503 x\r\ncONTENT-lENGTH:2\r\nRETRY-after: \t7 \r\n\r\nok", "503 true 7 ok"},
		"no reason":                 {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 true  "},
		"the first Retry-After":     {"HTTP/1.1 429 x\r\nRetry-After: 1\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n", "429 true 1 "},
		"a folded value":            {"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok", "200 true  ok"},
		"a folded other value":      {"HTTP/1.1 200 OK\r\nA: b\r\n\tContent-Length: 7\r\nContent-Length: 2\r\n\r\nok", "200 true  ok"},
		"until it closes":           {"HTTP/1.1 200 OK\r\n\r\nok", "200 false  ok"},
		"closes":                    {"HTTP/1.1 200 OK\r\nConnection: a, CLOSE\r\nContent-Length: 2\r\n\r\nok", "200 false  ok"},
		"HTTP/1.0":                  {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 false  ok"},
		"HTTP/1.0, kept":            {"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", "200 true  ok"},
		"HTTP/1.0 knows no chunks":  {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok", "200 false  ok"},
		"chunked":                   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\no\r\n1;a=b\r\nk\r\n0\r\n\r\n", "200 true  ok"},
		"chunked, with a trailer":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\nContent-Length: 7\r\n\r\n", "200 true  ok"},
		"chunks win over a length":  {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 true  ok"},
		"the same length twice":     {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "200 true  ok"},
		"no content":                {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "204 true  "},
		"not modified":              {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "304 true  "},
		"interim answers first":     {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nRetry-After: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 true  ok"},
		"a line beyond the buffer":  {"HTTP/1.1 200 OK\r\nA: " + long + "\r\nContent-Length: 2\r\n\r\nok", "200 true  ok"},
		"a value beyond the buffer": {"HTTP/1.1 200 OK\r\nConnection: " + long + ", close\r\nContent-Length: 2\r\n\r\nok", "200 false  ok"},

		"nothing":                   {"", "unexpected EOF"},
		"half a line":               {"HTTP/1.1 20", "unexpected EOF"},
		"half a head":               {"HTTP/1.1 200 OK\r\nA: b\r\n", "unexpected EOF"},
		"an interim answer only":    {"HTTP/1.1 100 Continue\r\n\r\n", "unexpected EOF"},
		"half a body":               {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "unexpected EOF"},
		"none of a body":            {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "unexpected EOF"},
		"half a long body":          {"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + long + long, "unexpected EOF"},
		"half a chunk":              {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok", "unexpected EOF"},
		"no last chunk":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "unexpected EOF"},
		"half a trailer":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n", "unexpected EOF"},
		"an empty line first":       {"\r\nHTTP/1.1 200 OK\r\n\r\n", "malformed HTTP response"},
		"another protocol":          {"SSH-2.0-OpenSSH_9.6\r\n", "malformed HTTP response"},
		"HTTP/2":                    {"HTTP/2.0 200 OK\r\n\r\n", "malformed HTTP version"},
		"HTTP/1.x":                  {"HTTP/1.x 200 OK\r\n\r\n", "malformed HTTP version"},
		"two digits":                {"HTTP/1.1 20 OK\r\n\r\n", "malformed HTTP status code"},
		"a sign":                    {"HTTP/1.1 +20 OK\r\n\r\n", "malformed HTTP status code"},
		"below 100":                 {"HTTP/1.1 099 OK\r\n\r\n", "malformed HTTP status code"},
		"a header without colon":    {"HTTP/1.1 200 OK\r\nsecret\r\n\r\n", "malformed header line"},
		"a header without name":     {"HTTP/1.1 200 OK\r\n: secret\r\n\r\n", "malformed header line"},
		"a space before the colon":  {"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", "malformed header line"},
		"a control character":       {"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\nok", "malformed header line"},
		"it begins folded":          {"HTTP/1.1 200 OK\r\n A: b\r\n\r\nok", "malformed header line"},
		"a bad trailer":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nsecret\r\n\r\n", "malformed header line"},
		"another encoding":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unsupported transfer encoding"},
		"an encoding of no content": {"HTTP/1.1 204 x\r\nTransfer-Encoding: gzip\r\n\r\n", "unsupported transfer encoding"},
		"chunked twice":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "unsupported transfer encoding"},
		"lengths that differ":       {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "several Content-Lengths"},
		"a negative length":         {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", "bad Content-Length"},
		"a signed length":           {"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "bad Content-Length"},
		"a list of lengths":         {"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "bad Content-Length"},
		"an empty length":           {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok", "bad Content-Length"},
		"a huge length":             {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", "bad Content-Length"},
		"garbage for a chunk":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "invalid byte in chunk length"},
	}
	for name, tt := range tests {
		for _, r := range []io.Reader{strings.NewReader(tt.text), iotest.OneByteReader(strings.NewReader(tt.text))} {
			a, body, whole, rest, err := readAnswer(r)
			got := fmt.Sprintf("%d %v %s %s", a.status, a.keep, a.retryAfter, body)
			if err != nil {
				got = err.Error()
			} else if !whole || rest != 0 {
				t.Errorf("%s: whole is %v, %d bytes are left", name, whole, rest)
			}
			if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
				t.Errorf("%s: got %s, want %s", name, got, tt.want)
			}
			if strings.Contains(got, "secret") {
				t.Errorf("%s: %s quotes what came", name, got)
			}
		}
	}
}

// Heads count in all, whatever their parts.
func TestAnswerBounds(t *testing.T) {
	head := func(size int) string { // with its lines' ends
		const rest = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: \r\n\r\n"
		return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: " + strings.Repeat("x", size-len(rest)) + "\r\n\r\n"
	}
	const interim = "HTTP/1.1 103 x\r\n\r\n"
	for name, tt := range map[string]struct {
		text string
		err  error
	}{
		"just fits":                  {head(MaxHeader) + "ok", nil},
		"one more":                   {head(MaxHeader+1) + "ok", errHead},
		"fits with interim":          {interim + head(MaxHeader-len(interim)) + "ok", nil},
		"one more with interim":      {interim + head(MaxHeader-len(interim)+1) + "ok", errHead},
		"an endless trailer":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: b\r\n", MaxHeader/6), errHead},
		"many lines":                 {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", MaxHeader/6+1), errHead},
		"a folded value of many":     {"HTTP/1.1 200 OK\r\nConnection: a\r\n" + strings.Repeat(" b\r\n", MaxHeader/4+1), errHead},
		"a status line of its own":   {"HTTP/1.1 200 " + strings.Repeat("x", MaxHeader), errHead},
		"just fits, nothing follows": {head(MaxHeader), io.ErrUnexpectedEOF},
	} {
		if _, _, _, _, err := readAnswer(strings.NewReader(tt.text)); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", name, err, tt.err)
		}
	}
	for _, form := range []string{"Content-Length: %d\r\n\r\n%s", "X: %d\r\n\r\n%s", "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"} {
		for size, want := range map[int]bool{MaxKeptBody - 1: true, MaxKeptBody: true, MaxKeptBody + 1: true, MaxReadBody: true, MaxReadBody + 1: false, 2 * MaxReadBody: false} {
			text := "HTTP/1.1 200 OK\r\n" + fmt.Sprintf(form, size, strings.Repeat("x", size))
			_, body, whole, _, err := readAnswer(strings.NewReader(text))
			if err != nil || whole != want || len(body) != min(size, MaxKeptBody) {
				t.Errorf("%.20q of %d: whole %v, %d bytes kept, %v", form, size, whole, len(body), err)
			}
		}
	}
}

// Whatever is taken for an answer, net/http takes for the same one.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 x\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 204 x\nContent-Length: 1\nContent-Length: 01\n\n",
		"HTTP/1.1 200\r\nA:\r\n b\r\n\r\nok",
		"HTTP/1.1 200\nTransfer-Encoding: chunked\n\n2\r\nok\r\n0\r\n\n",
		"HTTP/1.1 200 OK\r\nContent-Length: \r\n\t2 \r\nX: a\r\n b\r\nConnection:\tclose\t\r\n\r\nok",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, body, whole, _, err := readAnswer(bytes.NewReader(text))
		if len(body) > MaxKeptBody {
			t.Fatalf("%d bytes are kept", len(body))
		}
		if err != nil || !whole || a.status == http.StatusSwitchingProtocols {
			return
		}
		r := bufio.NewReader(bytes.NewReader(text))
		for {
			want, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("net/http: %v", err)
			}
			if want.StatusCode < 200 {
				continue
			}
			all, err := io.ReadAll(want.Body)
			if err != nil && a.length == chunked && bytes.Count(text, []byte{'\n'}) > bytes.Count(text, []byte("\r\n")) {
				return // where no other line needs it, a trailer's last one needs CR LF there
			}
			if err != nil {
				t.Fatalf("net/http: %v", err)
			}
			if a.status != want.StatusCode || a.keep == want.Close && want.ContentLength >= 0 || a.retryAfter != want.Header.Get("Retry-After") {
				t.Fatalf("%+v, net/http %+v", a, want)
			}
			if len(all) <= MaxKeptBody && !bytes.Equal(body, all) {
				t.Fatalf("body %q, net/http %q", body, all)
			}
			return
		}
	})
}
