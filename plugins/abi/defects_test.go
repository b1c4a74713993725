package abi_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/weirhq/weir/plugins/abi"
)

// The model host conforms where it has no defect: the guests ask for nothing
// that only package plugins does.
func TestModelConforms(t *testing.T) {
	ctx := context.Background()
	m := newModel("none")
	defer m.cache.Close(ctx)
	for _, g := range guests(t) {
		wrong, err := g.Check(ctx, m)
		if err != nil {
			t.Fatalf("%s: %v", g.Name, err)
		}
		for _, w := range wrong {
			t.Error(w)
		}
	}
}

// defects are what a host can do wrong, and the guests that must notice it, each
// by itself.
var defects = map[string]string{
	"field 0 is empty":                   "read-fields read-binary get-form get-text write-text",
	"field 1 is empty":                   "read-fields write-fields",
	"field 2 is empty":                   "read-fields",
	"field 3 is empty":                   "read-fields write-read-only",
	"field 4 is empty":                   "read-fields read-absent",
	"field 5 is empty":                   "read-fields",
	"field 6 is empty":                   "read-fields read-absent",
	"field 7 is empty":                   "read-fields read-absent read-binary warm-up",
	"field 9 is empty":                   "read-fields write-read-only",
	"field 10 is empty":                  "read-fields read-absent",
	"the time has milliseconds":          "read-fields",
	"the message has its type first":     "read-fields warm-up",
	"the message has spaces":             "read-fields read-absent",
	"the message has an empty subject":   "read-absent",
	"binary data is text in the message": "read-binary",
	"an unset config is empty":           "read-absent",
	"what is absent is empty":            "read-absent",
	"an unknown field is absent":         "read-unknown-field",
	"negative fields are data":           "read-unknown-field",
	"a read that is too long is cut off": "read-cap",
	"a read gives what it has written":   "read-cap",
	"a read ends with a zero byte":       "read-cap",

	"get prints values again":                    "get-paths",
	"strings come without quotes":                "get-paths get-form get-text",
	"of duplicate keys the first counts":         "get-paths",
	"digits are always an index":                 "get-paths",
	"paths have no escapes":                      "get-paths get-malformed",
	"the empty path is nothing":                  "get-paths get-form get-text",
	"empty segments are skipped":                 "get-malformed",
	"an absent value is malformed":               "get-absent",
	"an absent value is null":                    "get-absent",
	"a malformed path is an absent value":        "get-malformed",
	"a form is text":                             "get-form",
	"text has no JSON view":                      "get-text",
	"a form can be edited as text":               "get-form",
	"names of headers have a case":               "header-read",
	"repeated headers are joined by a semicolon": "header-read read-fields",
	"of repeated headers the first counts":       "header-read read-fields",
	"an empty header is absent":                  "header-read",
	"a malformed header is absent":               "header-read",

	"reads see the event as it came":               "set-value write-fields",
	"edits print data again":                       "set-value set-missing",
	"set makes no objects":                         "set-missing",
	"set appends to no array":                      "set-missing",
	"set puts a new key first":                     "set-missing",
	"set appends at any index":                     "set-no-place",
	"set replaces a scalar on the way":             "set-no-place",
	"set can't replace all of data":                "set-all",
	"set changes the first duplicate":              "set-duplicate",
	"set takes any bytes":                          "set-malformed",
	"no such place is malformed":                   "set-no-place remove-absent",
	"no such place is fine":                        "set-no-place remove-absent",
	"remove leaves null":                           "remove-value remove-duplicates",
	"remove takes one duplicate away":              "remove-duplicates",
	"the id can be written":                        "write-read-only",
	"writing what can't be written is fine":        "write-read-only",
	"writing what can't be written is not allowed": "write-read-only",
	"any text is a type":                           "write-malformed",
	"data need not be JSON":                        "write-malformed",
	"what was refused is written all the same":     "write-malformed",
	"a content type need not be true":              "write-text",
	"the content type stays":                       "write-fields write-text",
	"set_header adds":                              "header-change",
	"set headers are the event's":                  "header-change",
	"remove_header removes what was set":           "header-change",
	"removing no header is fine":                   "header-change",
	"any text is the name of a header":             "header-malformed",
	"any text is the value of a header":            "header-malformed",
	"no header is reserved":                        "header-reserved",
	"reserved headers have a case":                 "header-reserved",
	"a reserved header is malformed":               "header-reserved",
	"a filter may change the message":              "filter-changes",
	"what is not allowed is malformed":             "filter-changes init",
	"in init, changes are fine":                    "init",
	"in init, fields are empty":                    "init",

	"a filter keeps by any positive number":               "filter-verdict",
	"a filter's drop is no drop":                          "filter-verdict",
	"the transform is called after a drop":                "filter-and-transform",
	"the transform is not called where there is a filter": "filter-and-transform",
	"filter and transform have an instance each":          "filter-and-transform",
	"a negative result is a drop":                         "result",
	"fail is a failure by itself":                         "result",
	"the first text of fail counts":                       "result",
	"0 after an emit is fine":                             "result",
	"1 after an emit is fine":                             "result",
	"other numbers count as 0":                            "result",
	"0 gives the event as it came":                        "set-value write-fields header-change",
	"1 gives the message":                                 "result",
	"2 without an emit gives the message":                 "result",
	"emit puts nothing back":                              "emit-restores",
	"emit does not put headers back":                      "emit-restores",
	"emit only puts data back":                            "emit-restores",
	"there may be more than 64 results":                   "emit-limit",
	"there may be 63 results":                             "emit-limit",
	"an emit that fails puts the message back":            "emit-limit emit-bytes",
	"an emit that fails is not allowed":                   "emit-limit emit-bytes",
	"results may have any size":                           "emit-bytes",
	"write has no limit":                                  "message-bytes",
	"set has no limit":                                    "message-bytes",
	"levels count from 0":                                 "log",
	"all lines are info":                                  "log",
	"empty lines are not logged":                          "log",
	"logs are ASCII":                                      "log",

	"_initialize is not called":              "init",
	"_initialize is called twice":            "init",
	"weir_init is not called":                "init init-refuses init-fails init-traps",
	"weir_init is called twice":              "init",
	"the clock runs in init":                 "init",
	"the result of weir_init does not count": "init-refuses init-fails",
	"the text of fail in weir_init is lost":  "init-fails",
	"a trap in weir_init is forgotten":       "init-traps",
	"there is no warm-up":                    "warm-up",
	"there are two warm-ups":                 "warm-up",
	"the warm-up is any event":               "warm-up",
	"an instance is used again as it is":     "isolation isolation-table warm-up",
	"memory is put back, globals are not":    "isolation warm-up",
	"globals are put back, memory is not":    "isolation warm-up",
	"tables are not put back":                "isolation-table",
	"memory keeps its size":                  "isolation",
	"the clock is the machine's":             "clock init",
	"the clock is the time of the event":     "clock",
	"the clock moves by itself":              "clock",
	"random is the machine's":                "random",
	"random is the same for all events":      "random",
	"random goes on from init":               "random",
	"random in init is another each time":    "random-init",
	"there is an environment":                "closed",
	"there are arguments":                    "closed",
	"a folder is open":                       "closed",

	"of a range, only the start is checked":   "pointer",
	"pointers are not checked: read":          "pointer",
	"pointers are not checked: write":         "pointer",
	"pointers are not checked: get":           "pointer",
	"pointers are not checked: set":           "pointer",
	"pointers are not checked: remove":        "pointer",
	"pointers are not checked: header":        "pointer",
	"pointers are not checked: set_header":    "pointer",
	"pointers are not checked: remove_header": "pointer",
	"pointers are not checked: log":           "pointer",
	"pointers are not checked: fail":          "pointer",
	"a call that failed is a drop":            "trap trap-filter exit fuel stack pointer",
	"a trap is the end of the plugin":         "trap",
	"an exit is a trap":                       "exit",
	"exit with 0 is fine":                     "exit",
	"out of fuel is a trap":                   "fuel",
	"fuel is too scarce":                      "fuel",
	"the cap of memory is a page too low":     "memory-cap",
	"memory has no cap":                       "memory-cap",

	"not checked at load: import from another module": "refused-module",
	"not checked at load: import that weir has not":   "refused-name",
	"not checked at load: type of an import":          "refused-type",
	"not checked at load: import that WASI has not":   "refused-wasi",
	"not checked at load: import of a memory":         "refused-memory",
	"not checked at load: export of the version":      "refused-no-version",
	"not checked at load: export of the memory":       "refused-no-memory",
	"not checked at load: a function to call":         "refused-no-function",
	"not checked at load: type of weir_transform":     "refused-transform-type",
	"not checked at load: type of weir_filter":        "refused-filter-type",
	"not checked at load: type of weir_init":          "refused-init-type",
	"not checked at load: type of weir_abi_v1":        "refused-version-type",
	"refusals give no names":                          "refused-module refused-name refused-type refused-wasi refused-no-version refused-no-memory refused-no-function",
}

// Every defect is noticed by each of the guests that it is given to, every defect
// that the model can have is in the table, and every guest notices one.
func TestDefectsAreNoticed(t *testing.T) {
	ctx := context.Background()
	byName := map[string]*abi.Guest{}
	for _, g := range guests(t) {
		byName[g.Name] = g
	}
	unused := maps.Clone(byName)
	asked := map[string]bool{}
	for _, defect := range slices.Sorted(maps.Keys(defects)) {
		m := newModel(defect)
		for name := range strings.FieldsSeq(defects[defect]) {
			g := byName[name]
			if g == nil {
				t.Errorf("there is no guest %s", name)
				continue
			}
			delete(unused, name)
			wrong, err := g.Check(ctx, m)
			if err != nil {
				t.Errorf("%s, with the defect %q: %v", name, defect, err)
			} else if len(wrong) == 0 {
				t.Errorf("%s does not notice: %s", name, defect)
			}
		}
		if !m.asked[defect] {
			t.Errorf("the model never asked for: %s", defect)
		}
		maps.Copy(asked, m.asked)
		if err := m.cache.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	for name := range unused {
		t.Errorf("%s is not known to notice any defect", name)
	}
	for defect := range asked {
		if _, ok := defects[defect]; !ok {
			t.Errorf("no guest is said to notice: %s", defect)
		}
	}
}
