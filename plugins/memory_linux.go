package plugins

import (
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve maps anonymous memory. Large pages are refused: a write of one byte
// would make two MiB dirty, and take as much.
func reserve(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE) // a kernel without large pages refuses
	return b, nil
}

func release(b []byte) { _ = unix.Munmap(b) } // fails only for what is no mapping

// wipe makes b, whole pages of a reserved memory, zero without touching it.
func wipe(b []byte) {
	if unix.Madvise(b, unix.MADV_DONTNEED) != nil {
		clear(b)
	}
}

// Linux can tell which pages were written since a point in time, without a trap
// to user space for each (write-protection by userfaultfd in its asynchronous
// mode, and the ioctl PAGEMAP_SCAN; Linux 6.7). See
// Documentation/admin-guide/mm/pagemap.rst and mm/userfaultfd.rst.
const (
	uffdioAPI          = 0xc018aa3f
	uffdioRegister     = 0xc020aa00
	uffdioWriteProtect = 0xc018aa06
	pagemapScan        = 0xc0606610

	uffdAPI                = 0xaa
	uffdUserModeOnly       = 1
	featureWPUnpopulated   = 1 << 13
	featureWPAsync         = 1 << 15
	registerWriteProtect   = 1 << 1
	modeWriteProtect       = 1 << 0
	pageWritten            = 1 << 1
	scanChecksAsynchronous = 1 << 1
)

type (
	apiArgument      struct{ api, features, ioctls uint64 }
	registerArgument struct{ start, size, mode, ioctls uint64 }
	protectArgument  struct{ start, size, mode uint64 }
	scanArgument     struct {
		size, flags, start, end, walkEnd, regions, regionCount, maxPages uint64
		inverted, mask, anyOf, returned                                  uint64
	}
	pageRegion struct{ start, end, categories uint64 }
)

// watcher holds the two files by which the kernel is asked. They stay open as
// long as the process lives.
type watcher struct {
	uffd    uintptr
	pagemap *os.File
}

// theWatcher is nil where the kernel can't watch pages.
var theWatcher = sync.OnceValue(func() *watcher {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return nil
	}
	api := apiArgument{api: uffdAPI, features: featureWPUnpopulated | featureWPAsync}
	if _, err := ioctl(fd, uffdioAPI, unsafe.Pointer(&api)); err != nil {
		_ = unix.Close(int(fd))
		return nil
	}
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		_ = unix.Close(int(fd))
		return nil
	}
	return &watcher{uffd: fd, pagemap: pagemap}
})

func ioctl(fd uintptr, request uintptr, argument unsafe.Pointer) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(argument))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// dirtyScan is what a scan needs, kept so that it allocates nothing.
type dirtyScan struct {
	argument scanArgument
	regions  [64]pageRegion
}

// watch begins to watch the pages that the guest has now. It reports whether
// that works here.
func (m *linearMemory) watch() bool {
	w := theWatcher()
	if w == nil || m.size == 0 {
		return false
	}
	start := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m.region))))
	register := registerArgument{start: start, size: uint64(m.size), mode: registerWriteProtect}
	if _, err := ioctl(w.uffd, uffdioRegister, unsafe.Pointer(&register)); err != nil {
		return false
	}
	m.watched = m.size
	if !m.forget() {
		m.watched = 0
		return false
	}
	_, err := m.eachDirty(func(int, int) {})
	if err != nil {
		m.watched = 0
	}
	return err == nil
}

// forget makes all watched pages count as not written.
func (m *linearMemory) forget() bool {
	start := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m.region))))
	protect := protectArgument{start: start, size: uint64(m.watched), mode: modeWriteProtect}
	_, err := ioctl(theWatcher().uffd, uffdioWriteProtect, unsafe.Pointer(&protect))
	return err == nil
}

// eachDirty calls f for each part that was written since [linearMemory.watch] or
// [linearMemory.forget], from its first byte to the one behind its last, and
// returns how many pages they are. f may write there.
func (m *linearMemory) eachDirty(f func(from, to int)) (pages int, err error) {
	w := theWatcher()
	start := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m.region))))
	end := start + uint64(m.watched)
	s := &m.dirty
	for at := start; at < end; {
		s.argument = scanArgument{
			size: uint64(unsafe.Sizeof(s.argument)), flags: scanChecksAsynchronous, start: at, end: end,
			regions: uint64(uintptr(unsafe.Pointer(&s.regions))), regionCount: uint64(len(s.regions)),
			mask: pageWritten, returned: pageWritten,
		}
		n, err := ioctl(w.pagemap.Fd(), pagemapScan, unsafe.Pointer(&s.argument))
		if err != nil {
			return pages, err
		}
		for _, r := range s.regions[:n] {
			f(int(r.start-start), int(r.end-start))
			pages += int(r.end-r.start) / dirtyUnit
		}
		if s.argument.walkEnd <= at {
			break
		}
		at = s.argument.walkEnd
	}
	runtime.KeepAlive(m)
	return pages, nil
}
