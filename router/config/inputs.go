package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// Inputs are what a configuration was read from: files, what file() read, modules,
// and the folder where it is one. Each has the state in which it was.
type Inputs map[string]string

// note keeps the state of a path, unless it has one: what was read first counts.
func (in Inputs) note(path string) {
	if _, ok := in[path]; !ok {
		in[path] = stateOf(path)
	}
}

// Now returns the same paths with the state that they have now.
func (in Inputs) Now() Inputs {
	now := make(Inputs, len(in))
	for path := range in {
		now[path] = stateOf(path)
	}
	return now
}

// Equal reports whether nothing differs.
func (in Inputs) Equal(other Inputs) bool { return maps.Equal(in, other) }

// Changed names the paths of which the state differs, for people.
func (in Inputs) Changed(other Inputs) string {
	var names []string
	for path, state := range in {
		if other[path] != state {
			names = append(names, filepath.Base(path))
		}
	}
	return strings.Join(names, ", ")
}

// stateOf says all that tells a path's states apart without reading it: of a folder
// which configuration files it has.
func stateOf(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "absent"
	case info.IsDir():
		files, _, err := find(path)
		return fmt.Sprint(files, err)
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano(), info.Mode())
}
