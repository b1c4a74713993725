package attempt

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// compressFrom is the size in bytes from which a body is compressed where the
// destination asks for it: below, what it saves fits the same packet.
const compressFrom = 1 << 10

var compressors = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// compress returns body in the encoding gzip, in a buffer of x, and false where
// that is no smaller. The same body gives the same bytes: they are signed.
func (x *exchange) compress(body []byte) ([]byte, bool, error) {
	x.zipped.Reset()
	w, ok := compressors.Get().(*gzip.Writer)
	if !ok {
		return nil, false, fmt.Errorf("no compressor")
	}
	defer compressors.Put(w)
	w.Reset(&x.zipped)
	if _, err := w.Write(body); err != nil {
		return nil, false, fmt.Errorf("compress the body: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, false, fmt.Errorf("compress the body: %w", err)
	}
	return x.zipped.Bytes(), x.zipped.Len() < len(body), nil
}
