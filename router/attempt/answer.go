package attempt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"

	"golang.org/x/net/http/httpguts"
)

// answer is what anybody asks of the head of a receiver's answer.
type answer struct {
	status int
	// length is that of the body in bytes, or one of the two below.
	length int64
	// keep says that the receiver keeps the connection for the next request.
	keep bool
	// retryAfter is the value of the first such header.
	retryAfter string
}

const (
	untilClose int64 = -1 // the body ends with the connection
	chunked    int64 = -2
)

// errHead is an answer whose heads, interim ones and trailers included, are
// larger than MaxHeader.
var errHead = errors.New("the headers are too large")

// errSwitched is an answer that leaves HTTP, which no delivery asks for.
var errSwitched = errors.New("the receiver answered 101 Switching Protocols, which was not asked for")

// errBody marks an error of reading an answer's body.
type errBody struct{ err error }

func (e errBody) Error() string { return "read the answer: " + e.err.Error() }
func (e errBody) Unwrap() error { return e.err }

// reader reads an answer. Its slices are its own, to allocate none each time.
type reader struct {
	in    *bufio.Reader
	left  int    // bytes of heads that may still come
	long  []byte // a line that is larger than in's buffer
	value []byte // of the header that is being read
}

// reset makes it read one answer from r.
func (h *reader) reset(r io.Reader) {
	h.in.Reset(r)
	h.left = MaxHeader
}

// line returns the next line without its end. It holds until the next call.
func (h *reader) line() ([]byte, error) {
	h.long = h.long[:0]
	for {
		part, err := h.in.ReadSlice('\n')
		if h.left -= len(part); h.left < 0 {
			return nil, errHead
		}
		switch {
		case err == nil:
			if len(h.long) > 0 {
				h.long = append(h.long, part...)
				part = h.long
			}
			return bytes.TrimSuffix(part[:len(part)-1], []byte{'\r'}), nil
		case errors.Is(err, bufio.ErrBufferFull):
			h.long = append(h.long, part...)
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// head reads heads up to that of the final answer, or of 101.
func (h *reader) head() (answer, error) {
	for {
		a, err := h.oneHead()
		if err != nil || a.status >= 200 || a.status == http.StatusSwitchingProtocols {
			return a, err
		}
	}
}

func (h *reader) oneHead() (answer, error) {
	line, err := h.line()
	if err != nil {
		return answer{}, err
	}
	var a answer
	var minor int
	if a.status, minor, err = statusLine(line); err != nil {
		return answer{}, err
	}
	var f fields
	if err := h.fields(&f); err != nil {
		return answer{}, err
	}
	a.retryAfter = f.retryAfter
	// HTTP/1.0 closes unless it says otherwise, and knows no chunks.
	a.keep = !f.close && (minor >= 1 || f.keepAlive)
	encoded := f.encoded && minor >= 1
	switch {
	case encoded && !f.chunked:
		return answer{}, errors.New("unsupported transfer encoding")
	case !encoded && f.lengths > 1:
		return answer{}, errors.New("several Content-Lengths that differ")
	case !encoded && f.badLength:
		return answer{}, errors.New("bad Content-Length")
	case a.status < 200 || a.status == http.StatusNoContent || a.status == http.StatusNotModified:
		a.length = 0
	case encoded:
		a.length = chunked // whatever Content-Length says (RFC 9112, section 6.3)
	case f.lengths == 0:
		a.length, a.keep = untilClose, false
	default:
		a.length = f.length
	}
	return a, nil
}

// statusLine reads the first line of a head: HTTP/1.x and a status of three
// digits.
func statusLine(line []byte) (status, minor int, err error) {
	version, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok || len(version) != len("HTTP/1.1") || !bytes.HasPrefix(version, []byte("HTTP/")) {
		return 0, 0, fmt.Errorf("malformed HTTP response %q", shorten(string(line)))
	}
	if !bytes.HasPrefix(version, []byte("HTTP/1.")) || version[7] < '0' || version[7] > '9' {
		return 0, 0, fmt.Errorf("malformed HTTP version %q", version)
	}
	code, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte{' '})
	if len(code) != 3 || !digits(string(code)) || code[0] == '0' {
		return 0, 0, fmt.Errorf("malformed HTTP status code %q", shorten(string(code)))
	}
	return int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0'), int(version[7] - '0'), nil
}

// fields are the headers that count, as they are being read.
type fields struct {
	lengths    int // Content-Lengths that differ
	length     int64
	lengthSize int // in digits: 5 and 05 differ
	badLength  bool
	encoded    bool // there is a Transfer-Encoding
	chunked    bool // and it is "chunked", once
	close      bool
	keepAlive  bool
	retryAfter string
}

// Headers that count, in lower case. They differ in length.
const (
	fieldConnection = "connection"
	fieldRetryAfter = "retry-after"
	fieldLength     = "content-length"
	fieldEncoding   = "transfer-encoding"
)

// errField does not quote the line: it may repeat what was sent.
var errField = errors.New("malformed header line")

// fields reads header lines up to the empty one. A line that begins with a space
// or tab goes on with the one before.
func (h *reader) fields(f *fields) error {
	name := "" // of the header whose value is in h.value, where it counts
	for first := true; ; first = false {
		line, err := h.line()
		switch {
		case err != nil:
			return err
		case len(line) == 0:
			f.set(name, h.value)
			return nil
		case line[0] == ' ' || line[0] == '\t':
			if first || !validValue(line) {
				return errField
			}
			if name != "" {
				h.value = append(append(h.value, ' '), trim(line)...)
			}
			continue
		}
		f.set(name, h.value)
		key, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || !validName(key) || !validValue(value) {
			return errField
		}
		if name = known(key); name != "" {
			h.value = append(h.value[:0], trim(value)...)
		}
	}
}

// trim is bytes.Trim of spaces and tabs, at less cost than a set of bytes has.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// known returns one of the names above, or "".
func known(key []byte) string {
	name := ""
	switch len(key) {
	case len(fieldConnection):
		name = fieldConnection
	case len(fieldRetryAfter):
		name = fieldRetryAfter
	case len(fieldLength):
		name = fieldLength
	case len(fieldEncoding):
		name = fieldEncoding
	}
	for i := range len(name) {
		if c := key[i]; c != name[i] && c|0x20 != name[i] {
			return ""
		}
	}
	return name
}

func (f *fields) set(name string, value []byte) {
	if name == "" {
		return
	}
	value = trim(value) // where it was folded
	switch name {
	case fieldConnection:
		for token := range bytes.SplitSeq(value, []byte{','}) {
			switch token = trim(token); {
			case bytes.EqualFold(token, []byte("close")):
				f.close = true
			case bytes.EqualFold(token, []byte("keep-alive")):
				f.keepAlive = true
			}
		}
	case fieldRetryAfter:
		if f.retryAfter == "" {
			f.retryAfter = string(value)
		}
	case fieldLength:
		n, ok := length(value)
		if !ok {
			f.badLength = true
		}
		if f.lengths == 0 || f.length != n || f.lengthSize != len(value) {
			f.lengths++
		}
		f.length, f.lengthSize = n, len(value)
	case fieldEncoding:
		f.chunked = !f.encoded && bytes.EqualFold(value, []byte("chunked"))
		f.encoded = true
	}
}

// length reads a Content-Length: digits alone.
func length(value []byte) (int64, bool) {
	if len(value) == 0 || !digits(string(value)) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil
}

func validName(b []byte) bool {
	for _, c := range b {
		if !httpguts.IsTokenRune(rune(c)) {
			return false
		}
	}
	return len(b) > 0
}

func validValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// body reads the body of an answer to its end, or to the limit: then whole is
// false. What is kept is memory of its own.
func (h *reader) body(a answer) (kept []byte, whole bool, err error) {
	if a.length >= 0 {
		return h.sizedBody(a.length)
	}
	var r io.Reader = h.in
	if a.length == chunked {
		r = httputil.NewChunkedReader(h.in)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, MaxKeptBody); err != nil {
		if !errors.Is(err, io.EOF) {
			return b.Bytes(), false, errBody{err}
		}
		return b.Bytes(), true, h.trailer(a)
	}
	n, err := io.CopyN(io.Discard, r, MaxReadBody-MaxKeptBody+1)
	kept = b.Bytes()
	if n > 0 {
		kept = cutBetweenCharacters(kept)
	}
	switch {
	case err == nil:
		return kept, false, nil
	case errors.Is(err, io.EOF):
		return kept, true, h.trailer(a)
	}
	return kept, false, errBody{err}
}

func (h *reader) sizedBody(length int64) (kept []byte, whole bool, err error) {
	if length == 0 {
		return nil, true, nil
	}
	kept = make([]byte, min(length, MaxKeptBody))
	n, err := io.ReadFull(h.in, kept)
	if err != nil {
		return kept[:n], false, errBody{unexpected(err)}
	}
	if length > MaxKeptBody {
		kept = cutBetweenCharacters(kept)
	}
	if _, err := h.in.Discard(int(min(length, MaxReadBody) - int64(n))); err != nil {
		return kept, false, errBody{unexpected(err)}
	}
	return kept, length <= MaxReadBody, nil
}

// trailer reads what follows the last chunk.
func (h *reader) trailer(a answer) error {
	if a.length != chunked {
		return nil
	}
	if err := h.fields(&fields{}); err != nil {
		return errBody{err}
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
