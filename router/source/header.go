package source

import (
	"net/http"
	"strings"

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
	size, count := 0, 0
	for _, f := range fields {
		if !s.secret(f.Name) {
			size += len(f.Name) + len(f.Value)
			count++
		}
	}
	if count > MaxHeaders || size > MaxHeaderBytes {
		return nil, problem.New(http.StatusRequestHeaderFieldsTooLarge, "headers_too_large",
			"the request has %d headers of %d bytes; at most %d of %d bytes are taken", count, size, MaxHeaders, MaxHeaderBytes)
	}
	var b strings.Builder
	b.Grow(size)
	for _, f := range fields {
		if !s.secret(f.Name) {
			for i := 0; i < len(f.Name); i++ {
				b.WriteByte(lower(f.Name[i]))
			}
			b.WriteString(f.Value)
		}
	}
	all := b.String()
	cut := func(n int) string {
		part := all[:n]
		all = all[n:]
		return part
	}
	list := make([]event.Field, 0, count)
	for _, f := range fields {
		if !s.secret(f.Name) {
			list = append(list, event.Field{Name: cut(len(f.Name)), Value: cut(len(f.Value))})
		}
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

// containsFold compares lengths first: nearly all names differ from all of list
// in that already.
func containsFold(list []string, name string) bool {
	for _, s := range list {
		if len(s) == len(name) && strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}

// lower is for ASCII, which names of headers are.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
