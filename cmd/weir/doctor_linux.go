package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func thisMachine() machine {
	return machine{
		folder: folderOwner, fileSystem: fileSystemOf, openFiles: openFiles,
		memory: func() (int64, string) { return memoryLimit("/proc", "/sys/fs/cgroup") },
		clock:  kernelClock,
	}
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

func folderOwner(path string) (owner, error) {
	o := owner{name: "nobody known", self: userName(uint32(os.Geteuid()))}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return o, err
	}
	o.name = userName(st.Uid)
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil && !errors.Is(err, unix.EROFS) {
		return o, fmt.Errorf("it can't be read and written: %w", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return o, plainPathError(err)
	}
	for _, e := range entries {
		var f unix.Stat_t
		if unix.Lstat(filepath.Join(path, e.Name()), &f) == nil && f.Uid != st.Uid && ownFile(e.Name()) {
			o.other = e.Name()
			break
		}
	}
	return o, nil
}

// ownFile says whether a file in the store's folder is the store's.
func ownFile(name string) bool {
	switch filepath.Ext(name) {
	case ".sst", ".mem", ".vlog", ".seg":
		return true
	}
	return name == "MANIFEST" || name == "weir.lock"
}

// fileSystems are those that can be told by statfs(2).
var fileSystems = map[uint32]fileSystem{
	unix.EXT4_SUPER_MAGIC:      {name: "ext4"},
	unix.XFS_SUPER_MAGIC:       {name: "xfs"},
	unix.BTRFS_SUPER_MAGIC:     {name: "btrfs"},
	unix.F2FS_SUPER_MAGIC:      {name: "f2fs"},
	0x2fc12fc1:                 {name: "zfs"},
	unix.TMPFS_MAGIC:           {name: "tmpfs", volatile: "what is stored there is gone when the machine starts again"},
	unix.RAMFS_MAGIC:           {name: "ramfs", volatile: "what is stored there is gone when the machine starts again"},
	unix.OVERLAYFS_SUPER_MAGIC: {name: "overlay", volatile: "in a container it is gone with the container; a volume stays"},
	unix.NFS_SUPER_MAGIC:       {name: "NFS", remote: true},
	unix.SMB_SUPER_MAGIC:       {name: "SMB", remote: true},
	unix.CIFS_SUPER_MAGIC:      {name: "CIFS", remote: true},
	unix.SMB2_SUPER_MAGIC:      {name: "SMB", remote: true},
	unix.V9FS_MAGIC:            {name: "9P", remote: true},
	unix.CEPH_SUPER_MAGIC:      {name: "Ceph", remote: true},
	unix.AFS_SUPER_MAGIC:       {name: "AFS", remote: true},
	unix.FUSE_SUPER_MAGIC:      {name: "FUSE", remote: true},
}

func fileSystemOf(path string) (fileSystem, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return fileSystem{}, err
	}
	f, known := fileSystems[uint32(st.Type)]
	if !known {
		f.name = fmt.Sprintf("of type %#x", uint32(st.Type))
	}
	f.readOnly = st.Flags&unix.ST_RDONLY != 0
	f.free = int64(st.Bavail) * int64(st.Bsize)
	f.inodes, f.inodesFree = st.Files, st.Ffree
	return f, nil
}

// openFiles is the limit of a program of Go, which raises its own as far as it
// may when it starts.
func openFiles() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}

// memoryLimit is the least of what the machine has and the control groups of
// this process allow.
func memoryLimit(proc, cgroups string) (limit int64, by string) {
	if b, err := os.ReadFile(filepath.Join(proc, "meminfo")); err == nil {
		for line := range strings.Lines(string(b)) {
			var kib int64
			if n, err := fmt.Sscanf(line, "MemTotal: %d kB", &kib); n == 1 && err == nil {
				limit, by = kib<<10, "all of the machine's"
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(proc, "self/cgroup"))
	if err != nil {
		return limit, by
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || f[1] != "" && f[1] != "memory" {
			continue
		}
		name, root := "memory.max", cgroups
		if f[1] == "memory" { // version 1
			name, root = "memory.limit_in_bytes", filepath.Join(cgroups, "memory")
		}
		// A group above may allow less. In a container the path may be that of the
		// host, and its own group the root.
		for dir := filepath.Clean("/" + f[2]); ; dir = filepath.Dir(dir) {
			if b, err := os.ReadFile(filepath.Join(root, dir, name)); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && (limit == 0 || n < limit) {
					limit, by = n, "limit of the control group"
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit, by
}

func kernelClock() clockState {
	s := clockState{drift: measureDrift()}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil && !errors.Is(err, syscall.EPERM) {
		return s
	}
	if err == nil {
		s.known = true
		s.synchronised = state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
	}
	return s
}
