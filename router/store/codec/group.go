package codec

import (
	"encoding/binary"
	"fmt"
)

// AppendGroup appends values that are kept in one row.
func AppendGroup(b []byte, values [][]byte) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(len(values)))
	for _, v := range values {
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	return b
}

// Group decodes bytes of [AppendGroup]. The values are part of b.
func Group(b []byte) ([][]byte, error) {
	if len(b) == 0 || b[0] != version {
		return nil, fmt.Errorf("%w group: another version", ErrMalformed)
	}
	b = b[1:]
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) {
		return nil, fmt.Errorf("%w group: it claims %d values", ErrMalformed, n)
	}
	b = b[size:]
	values := make([][]byte, 0, n)
	for range n {
		length, size := binary.Uvarint(b)
		if size <= 0 || length > uint64(len(b)-size) {
			return nil, fmt.Errorf("%w group: it ends too early", ErrMalformed)
		}
		end := size + int(length)
		values = append(values, b[size:end:end])
		b = b[end:]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w group: %d bytes too many", ErrMalformed, len(b))
	}
	return values, nil
}
