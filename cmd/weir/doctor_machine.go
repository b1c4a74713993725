package main

import (
	"path/filepath"
	"time"

	"github.com/weirhq/weir/plugins"
)

// machine is what the doctor asks of the machine. Tests put theirs in its place.
type machine struct {
	// folder says whom a folder belongs to. The error says that it can't be read
	// or written by this process; owner is filled in all the same.
	folder     func(path string) (owner, error)
	fileSystem func(path string) (fileSystem, error)
	// openFiles is how many files a process may have open, 0 where nobody knows.
	openFiles func() uint64
	// memory is what the process may use, in bytes, and what says so; 0 where
	// nobody knows.
	memory func() (limit int64, by string)
	clock  func() clockState
}

type owner struct {
	name, self string
	// other is a file in the folder that belongs to somebody else.
	other string
}

type fileSystem struct {
	name string
	// volatile says why what is written there does not last, empty where it does.
	volatile         string
	remote, readOnly bool
	// free is what a process without privileges may use, in bytes.
	free               int64
	inodes, inodesFree uint64
}

type clockState struct {
	// known: the kernel says whether the clock is synchronised.
	known, synchronised bool
	// drift is by how much the wall clock and the monotonic one differed over a
	// moment.
	drift time.Duration
}

// measureDrift watches both clocks for a moment.
func measureDrift() time.Duration {
	begin := time.Now()
	time.Sleep(50 * time.Millisecond)
	end := time.Now()
	return (end.Round(0).Sub(begin.Round(0)) - end.Sub(begin)).Abs()
}

// What a router has open besides attempts: producers' connections, and the
// store's logs, libraries and sockets. A table has one file.
const (
	producerFiles = 1024
	otherFiles    = 100
)

func (d *doctor) checkFiles() {
	limit := d.machine.openFiles()
	if limit == 0 {
		return
	}
	attempts := 0
	for _, x := range d.config.Destinations {
		attempts += x.Concurrency
	}
	tables := countTables(d.config.Store.Path)
	need := uint64(attempts + tables + producerFiles + otherFiles)
	if limit < need {
		d.warn("open files", "raise it: LimitNOFILE= in the service's unit, or ulimit -n",
			"at most %d, and about %d may be needed: %d for attempts, %d for tables, %d for producers", limit, need, attempts, tables, producerFiles)
		return
	}
	d.ok("open files", "at most %d here, about %d may be needed", limit, need)
}

// countTables is how many tables a store has.
func countTables(path string) int {
	list, err := filepath.Glob(filepath.Join(path, "*.sst"))
	if err != nil {
		return 0
	}
	return len(list)
}

// routerMemory is what a router may use without its plugins, in bytes.
const routerMemory = 400 << 20

func (d *doctor) checkMemory() {
	limit, by := d.machine.memory()
	if limit == 0 {
		return
	}
	need := int64(routerMemory)
	for _, p := range d.config.Plugins {
		need += p.Memory * plugins.DefaultPool
	}
	if limit < need {
		d.warn("memory", "raise the limit, or lower the memory of plugins", "%s (%s), and up to %s may be needed", bytesText(limit), by, bytesText(need))
		return
	}
	d.ok("memory", "%s (%s), up to %s may be needed", bytesText(limit), by, bytesText(need))
}

// written is before any machine that runs this.
var written = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (d *doctor) checkClock() {
	now, state := d.now(), d.machine.clock()
	const check = "clock"
	switch {
	case now.Before(written):
		d.fail(check, "set the clock: retention, retries and signatures go by it", "it says %s", clock(now))
	case state.drift > 5*time.Millisecond:
		d.warn(check, "see what sets it: two time services, or a machine that was suspended", "it is being changed: %s in a twentieth of a second", state.drift)
	case state.known && !state.synchronised:
		d.warn(check, "run chrony, ntpd or systemd-timesyncd: receivers refuse signatures whose time is off by some minutes", "it says %s, and the kernel calls it not synchronised", clock(now))
	case !state.known:
		d.ok(check, "it says %s", clock(now))
	default:
		d.ok(check, "it says %s, synchronised", clock(now))
	}
}
