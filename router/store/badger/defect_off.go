//go:build !weirdefect

package badger

import "github.com/weirhq/weir/router/store"

// A build with the tag weirdefect is broken on purpose, see defect_on.go. This
// one is not: everything here is constant or empty, and compiles to nothing.
const defect = ""

const (
	defectNoSync    = "nosync"
	defectEarly     = "early"
	defectUnguarded = "unguarded"
)

func spoil(*store.Record) (store.Result, bool) { return store.Result{}, false }

func (*batch) answerEarly() {}
