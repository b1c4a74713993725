package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The folder of another user, seen by one who has no rights there, or may only
// read.
func TestDoctorForbiddenFolder(t *testing.T) {
	for _, mode := range []os.FileMode{0o000, 0o555} {
		p := newPatient(t, "")
		p.fill(t, time.Now())
		for path, mode := range map[string]os.FileMode{p.store: mode, p.dir: 0o755, filepath.Dir(p.dir): 0o755} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { _ = os.Chmod(p.store, 0o700) }) // so that it can be removed
		d := p.doctor()
		d.machine.folder = folderOwner
		done := make(chan *assessment)
		go func() {
			// Root may do everything, so this thread becomes somebody else. It is never
			// unlocked, and so ends with the goroutine.
			runtime.LockOSThread()
			if os.Geteuid() == 0 {
				if err := unix.Setfsuid(65534); err != nil {
					t.Error(err)
				}
			}
			d.examine(t.Context())
			done <- d.assessment()
		}()
		if a := <-done; !a.found(findingFail, "store folder", "permission denied", "readable and writable") {
			t.Errorf("mode %v: got %+v", mode, a)
		}
	}
}

func TestFolderOwner(t *testing.T) {
	p := newPatient(t, "")
	p.fill(t, time.Now())
	if o, err := folderOwner(p.store); err != nil || o.name != o.self || o.other != "" {
		t.Errorf("got %+v, error %v", o, err)
	}
	if os.Geteuid() == 0 { // others can't give files away
		if err := os.Chown(filepath.Join(p.store, "MANIFEST"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if o, err := folderOwner(p.store); err != nil || o.other != "MANIFEST" {
			t.Errorf("got %+v, error %v", o, err)
		}
	}
}

func TestFileSystemOf(t *testing.T) {
	if f, err := fileSystemOf("/proc"); err != nil || !strings.HasPrefix(f.name, "of type") {
		t.Errorf("/proc: %+v, %v", f, err)
	}
	if f, err := fileSystemOf("/dev/shm"); err != nil || f.name != "tmpfs" || f.volatile == "" {
		t.Errorf("/dev/shm: %+v, %v", f, err)
	}
	f, err := fileSystemOf(t.TempDir())
	if err != nil || f.free <= 0 {
		t.Errorf("got %+v, error %v", f, err)
	}
	if _, err := fileSystemOf("/no/such/folder"); err == nil {
		t.Error("a folder that is not there has a file system")
	}
}

func TestMemoryLimit(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		limit int64
		by    string
	}{
		{"none", map[string]string{"meminfo": "MemTotal:  1024 kB\n"}, 1 << 20, "machine"},
		{"version 2", map[string]string{"meminfo": "MemTotal:  1024 kB\n", "self/cgroup": "0::/a/b\n", "cg/a/b/memory.max": "max\n", "cg/a/memory.max": "4096\n"}, 4096, "control group"},
		{"in a container", map[string]string{"meminfo": "MemTotal:  1024 kB\n", "self/cgroup": "0::/../host/path\n", "cg/memory.max": "8192\n"}, 8192, "control group"},
		{"version 1", map[string]string{"meminfo": "MemTotal:  1024 kB\n", "self/cgroup": "5:cpu:/a\n4:memory:/a\n", "cg/memory/a/memory.limit_in_bytes": "2048\n", "cg/cpu/a/memory.limit_in_bytes": "1\n"}, 2048, "control group"},
		{"more than there is", map[string]string{"meminfo": "MemTotal:  1024 kB\n", "self/cgroup": "0::/a\n", "cg/a/memory.max": "9223372036854771712\n"}, 1 << 20, "machine"},
		{"nothing known", nil, 0, ""},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			writeFile(t, dir, name, text)
		}
		if limit, by := memoryLimit(dir, filepath.Join(dir, "cg")); limit != c.limit || !strings.Contains(by, c.by) {
			t.Errorf("%s: got %d %q", c.name, limit, by)
		}
	}
}

func TestRealMachine(t *testing.T) {
	m := thisMachine()
	if m.openFiles() == 0 {
		t.Error("no limit of open files")
	}
	if n, by := m.memory(); n < 1<<20 || by == "" {
		t.Errorf("memory %d %q", n, by)
	}
	if s := m.clock(); s.drift < 0 || s.synchronised && !s.known {
		t.Errorf("clock %+v", s)
	}
}
