package sdk

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// place says where a place in the bundle was in the author's files. It counts up
// to the next one. The adapter reads the same structure.
type place struct {
	bundle uint32 // line << 12 | column, from 0; a column beyond 4095 counts as 4095
	origin uint32 // file << 20 | line, from 1; file 0 is not the author's
}

// The most that a place can say. What is beyond has no place.
const (
	maxPlaceColumn = 1<<12 - 1
	maxPlaceLine   = 1<<20 - 1
	maxPlaceFile   = 1<<12 - 1
)

// readSourceMap returns the places that a source map of version 3 has, one where
// the line or the file changes, and the files that they name.
func readSourceMap(text []byte) ([]place, []string, error) {
	var m struct {
		Sources  []string
		Mappings string
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, nil, err
	}
	var files []string
	number := make([]uint32, len(m.Sources))
	for i, source := range m.Sources {
		if strings.HasPrefix(source, runtimeNamespace+":") || len(files) == maxPlaceFile {
			continue
		}
		files = append(files, source)
		number[i] = uint32(len(files))
	}
	var places []place
	var source, line int
	for bundleLine, row := range strings.Split(m.Mappings, ";") {
		if bundleLine > maxPlaceLine {
			break
		}
		column := 0
		for segment := range strings.SplitSeq(row, ",") {
			if segment == "" {
				continue
			}
			fields, err := vlq(segment)
			if err != nil {
				return nil, nil, err
			}
			column += fields[0]
			if len(fields) < 4 {
				continue
			}
			source += fields[1]
			line += fields[2]
			if column < 0 || source < 0 || source >= len(number) || line < 0 {
				return nil, nil, errMapping
			}
			p := place{bundle: uint32(bundleLine)<<12 | uint32(min(column, maxPlaceColumn))}
			if line < maxPlaceLine && number[source] > 0 {
				p.origin = number[source]<<20 | uint32(line+1)
			}
			if n := len(places); n == 0 || places[n-1].origin != p.origin {
				places = append(places, p)
			}
		}
	}
	return places, files, nil
}

var errMapping = errors.New("a mapping is damaged")

// vlq reads one segment of a source map: numbers of base 64, the lowest bit the
// sign.
func vlq(segment string) ([]int, error) {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	var fields []int
	value, shift := 0, 0
	for i := range len(segment) {
		d := strings.IndexByte(digits, segment[i])
		if d < 0 || shift > 30 {
			return nil, fmt.Errorf("%w: %q", errMapping, segment)
		}
		value |= d & 31 << shift
		shift += 5
		if d&32 != 0 {
			continue
		}
		if value&1 != 0 {
			fields = append(fields, -(value >> 1))
		} else {
			fields = append(fields, value>>1)
		}
		value, shift = 0, 0
	}
	if shift > 0 || len(fields) == 0 {
		return nil, fmt.Errorf("%w: %q", errMapping, segment)
	}
	return fields, nil
}

// segment returns the bundle as the adapter reads it: the sizes of the three
// parts, the script and a NUL, the places, the names of the files.
func (b *bundle) segment() []byte {
	var names []byte
	for _, f := range b.files {
		names = append(append(names, f...), 0)
	}
	out := make([]byte, 0, 13+len(b.script)+8*len(b.places)+len(names))
	for _, n := range []int{len(b.script), len(b.places), len(names)} {
		out = binary.LittleEndian.AppendUint32(out, uint32(n))
	}
	out = append(append(out, b.script...), 0)
	for _, p := range b.places {
		out = binary.LittleEndian.AppendUint32(out, p.bundle)
		out = binary.LittleEndian.AppendUint32(out, p.origin)
	}
	return append(out, names...)
}
