package badger

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// logAdvice tells the kernel that Badger's mapped logs are not read ahead.
// Without it, ext4 on new kernels pulls in large folios of the sparse file at
// each fault, and a flush writes all of one: many times what was changed.
// Badger has no option for it, so the mapping is looked up by its file. It is
// advice: when it fails, only more is written.
type logAdvice struct {
	folder string
	next   int // number of the log that comes after those that were advised
}

func newLogAdvice(path string) *logAdvice {
	a := &logAdvice{folder: path}
	if abs, err := filepath.Abs(path); err == nil {
		a.folder = abs
	}
	if real, err := filepath.EvalSymlinks(a.folder); err == nil {
		a.folder = real // as the kernel names it
	}
	logs, _ := filepath.Glob(filepath.Join(a.folder, "*.mem"))
	for _, l := range logs {
		n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(l), ".mem"))
		info, err2 := os.Lstat(l)
		if err == nil && err2 == nil && info.Size() > 0 {
			adviseMapping(l)
			a.next = max(a.next, n+1)
		}
	}
	return a
}

// check advises logs that were begun since. It costs one look at the folder.
func (a *logAdvice) check() {
	for {
		path := filepath.Join(a.folder, fmt.Sprintf("%05d.mem", a.next))
		if info, err := os.Lstat(path); err != nil || info.Size() == 0 {
			return // without a byte it only holds blocks
		}
		adviseMapping(path)
		a.next++
	}
}

func adviseMapping(path string) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasSuffix(line, path) {
			continue
		}
		span, _, _ := strings.Cut(line, " ")
		from, to, _ := strings.Cut(span, "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil && start < end {
			unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_RANDOM)
		}
	}
}
