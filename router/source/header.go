package source

import (
	"net/http"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
)

// Bounds on the headers that are stored with an event.
const (
	MaxHeaders     = 128
	MaxHeaderBytes = 16 << 10 // names and values together
)

// kept returns a copy, with lower-case names, of the headers that are stored: all
// but credentials. One string backs all of them.
func (s *Source) kept(fields []event.Field) ([]event.Field, error) {
	var few [16]event.Field
	shown, size := few[:0], 0
	for _, f := range fields {
		if !s.secret(f.Name) {
			size += len(f.Name) + len(f.Value)
			shown = append(shown, f)
		}
	}
	count := len(shown)
	if count > MaxHeaders || size > MaxHeaderBytes {
		return nil, problem.New(http.StatusRequestHeaderFieldsTooLarge, "headers_too_large",
			"the request has %d headers of %d bytes; at most %d of %d bytes are taken", count, size, MaxHeaders, MaxHeaderBytes)
	}
	var most [1024]byte
	b := most[:0]
	for _, f := range shown {
		start := len(b)
		b = append(b, f.Name...)
		for i := start; i < len(b); i++ {
			b[i] = lower(b[i])
		}
		b = append(b, f.Value...)
	}
	all := string(b)
	cut := func(n int) string {
		part := all[:n]
		all = all[n:]
		return part
	}
	list := make([]event.Field, count)
	for i, f := range shown {
		list[i] = event.Field{Name: cut(len(f.Name)), Value: cut(len(f.Value))}
	}
	return list, nil
}

// stored returns those of the kept headers that the source's keep_headers names.
func (s *Source) stored(header []event.Field) []event.Field {
	if s.keep == nil {
		return header
	}
	list := make([]event.Field, 0, len(header))
	for _, f := range header {
		for _, pattern := range s.keep {
			if event.MatchType(pattern, f.Name) {
				list = append(list, f)
				break
			}
		}
	}
	return list
}

func (s *Source) secret(name string) bool {
	return containsFold(event.Credentials, name) || containsFold(s.credentials, name)
}

// containsFold reports whether list, whose names are in lower case, has name in any
// case.
func containsFold(list []string, name string) bool {
	for _, s := range list {
		if equalFold(name, s) {
			return true
		}
	}
	return false
}

// equalFold reports whether name, in any case, is want, which is in lower case. It
// compares lengths first: nearly all names differ in that already. Bytes beyond ASCII,
// which no name of a header has, are equal to themselves only.
func equalFold(name, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i := 0; i < len(name); i++ {
		if lower(name[i]) != want[i] {
			return false
		}
	}
	return true
}

// lower is for ASCII, which names of headers are.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
