package badger

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Badger builds tables in sparse, mapped files of its own, in its own
// goroutines. No block of them can be allocated beforehand, and a block that is
// missing is SIGBUS at the write that touches it, which Go ends the process
// with. So the signal's handler gives a MiB of the reserve back to the file
// system and lets the write be tried again. Space is set free at the moment when
// it is used, not before: another program would take it.
//
// The variables below are the handler's.
var (
	reserveLeft   int64 // of the file, in bytes
	reserveFile   int32
	reserveBefore uintptr // Go's handler
)

func reserveHandlerAddress() uintptr

// sigaction is the kernel's.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// handle puts our handler before Go's, with the same stack, flags and mask.
var handle = sync.OnceValue(func() error {
	var action, was sigaction
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGBUS), 0, uintptr(unsafe.Pointer(&action)), 8, 0, 0); e != 0 {
		return fmt.Errorf("looking up the handler of SIGBUS: %w", e)
	}
	if action.handler <= 1 || action.restorer == 0 {
		return errors.New("SIGBUS has no handler of Go's")
	}
	reserveBefore = action.handler
	action.handler = reserveHandlerAddress()
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGBUS), uintptr(unsafe.Pointer(&action)), uintptr(unsafe.Pointer(&was)), 8, 0, 0); e != 0 {
		return fmt.Errorf("handling SIGBUS: %w", e)
	}
	return nil
})

// armed guards against a second reserve: a process has one handler.
var armed sync.Mutex

// arm lets the handler take from a file that has n bytes. It says no when the
// reserve of another store is armed.
func arm(f *os.File, n int64) bool {
	if !armed.TryLock() {
		return false
	}
	if handle() != nil {
		armed.Unlock()
		return false
	}
	atomic.StoreInt32(&reserveFile, int32(f.Fd()))
	atomic.StoreInt64(&reserveLeft, n)
	return true
}

// armedLeft is what the handler has left, and refill gives it a file's new size.
func armedLeft() int64 { return max(atomic.LoadInt64(&reserveLeft), 0) }
func refill(n int64)   { atomic.StoreInt64(&reserveLeft, n) }

func disarm() {
	atomic.StoreInt64(&reserveLeft, 0)
	armed.Unlock()
}
