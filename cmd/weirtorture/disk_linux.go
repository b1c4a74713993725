package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// disk is a disk with a volatile cache whose power can be cut. It is a file
// served by FUSE, under a loop device, under ext4: each write and each flush of
// the file system comes here. What was written after the last flush is in the
// cache. A cut forgets the cache, or keeps an arbitrary part of it, down to single
// sectors, as a disk may.
type disk struct {
	size    int
	file    string // the FUSE file
	mount   string // where ext4 is mounted
	fuse    *os.File
	mounted bool

	mu      sync.Mutex
	now     []byte // what a read gives
	durable []byte // what is left without power
	cache   []cached
	dirty   map[int]bool // chunks in which now may differ from durable
	off     bool         // the power is cut: nothing gets durable any more
	cutIn   int          // writes until it is, 0: it stays on
	flushes int
	written int64
	done    chan struct{}
	failed  error
}

type cached struct {
	at   int
	data []byte
}

const (
	sector    = 512
	diskChunk = 64 << 10
)

// newDisk makes a disk with an empty ext4, mounted.
func newDisk(ctx context.Context, dir string, size int) (*disk, error) {
	d := &disk{size: size, file: filepath.Join(dir, "disk"), mount: filepath.Join(dir, "mnt"), dirty: map[int]bool{}, done: make(chan struct{})}
	var err error
	for _, m := range []*[]byte{&d.now, &d.durable} {
		if *m, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE); err != nil {
			return nil, fmt.Errorf("memory of the disk: %w", err)
		}
	}
	if err := errors.Join(os.WriteFile(d.file, nil, 0o600), os.Mkdir(d.mount, 0o700)); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/fuse: %w", err)
	}
	d.fuse = os.NewFile(uintptr(fd), "/dev/fuse")
	// The root of this file system is a file, so that is what it is mounted on.
	options := fmt.Sprintf("fd=%d,rootmode=100000,user_id=0,group_id=0", fd)
	if err := unix.Mount("weirtorture", d.file, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, errors.Join(fmt.Errorf("mount the disk's file: %w", err), d.fuse.Close())
	}
	go func() {
		defer close(d.done)
		d.failed = d.serve(fd)
	}()
	if err := makeExt4(ctx, d.file); err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	if err := d.on(ctx); err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	return d, nil
}

// on mounts the file system, which replays its journal.
func (d *disk) on(ctx context.Context) error {
	if err := command(ctx, "mount", "-t", "ext4", "-o", "loop,errors=remount-ro", d.file, d.mount); err != nil {
		return err
	}
	d.mounted = true
	return nil
}

// cut takes the power away at one of the next writes, so that something is in the
// cache, or soon where there are none. When it returns nothing gets durable any
// more.
func (d *disk) cut() {
	d.mu.Lock()
	d.cutIn = 1 + rand.IntN(40)
	d.mu.Unlock()
	for range 200 {
		time.Sleep(time.Millisecond)
		d.mu.Lock()
		off := d.off
		d.mu.Unlock()
		if off {
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

// Kinds of what a disk may have kept of its cache.
const (
	keepNothing = iota
	keepSome    // an arbitrary choice of writes
	keepTorn    // an arbitrary choice of sectors
	keepAll
	keepKinds
)

// back unmounts what was there when the power was cut, puts back what the disk
// kept, and mounts that. Whoever used the file system must be gone. It returns
// how many writes were in the cache.
func (d *disk) back(ctx context.Context, keep int) (int, error) {
	if err := d.unmount(ctx); err != nil {
		return 0, err
	}
	d.mu.Lock()
	n := len(d.cache)
	for _, w := range d.cache {
		switch keep {
		case keepAll:
			copy(d.durable[w.at:], w.data)
		case keepSome:
			if rand.IntN(2) == 0 {
				copy(d.durable[w.at:], w.data)
			}
		case keepTorn:
			for i := 0; i < len(w.data); i += sector {
				if rand.IntN(2) == 0 {
					copy(d.durable[w.at+i:], w.data[i:min(i+sector, len(w.data))])
				}
			}
		}
	}
	d.cache, d.cutIn = nil, 0
	for c := range d.dirty {
		copy(d.now[c*diskChunk:(c+1)*diskChunk], d.durable[c*diskChunk:])
	}
	clear(d.dirty)
	d.off = false
	d.mu.Unlock()
	return n, d.on(ctx)
}

// unmount waits until the loop device has gone, too.
func (d *disk) unmount(ctx context.Context) error {
	if !d.mounted {
		return nil
	}
	// The dead process may still be closing its files.
	err := eventually(ctx, 10*time.Second, "the disk to be unmounted", func() (bool, error) {
		return unix.Unmount(d.mount, 0) == nil, nil
	})
	if err != nil {
		return err
	}
	d.mounted = false
	return eventually(ctx, 10*time.Second, "the loop device to go", func() (bool, error) {
		used, err := loopUses(d.file)
		return !used, err
	})
}

// loopUses reports whether a loop device has a file.
func loopUses(path string) (bool, error) {
	names, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return false, err
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err == nil && string(b) == path+"\n" { // it may go while we look
			return true, nil
		}
	}
	return false, nil
}

func (d *disk) close(ctx context.Context) error {
	err := errors.Join(d.unmount(ctx), unix.Unmount(d.file, unix.MNT_DETACH))
	select {
	case <-d.done:
	case <-time.After(10 * time.Second):
		return errors.Join(err, errors.New("the disk's server does not end"))
	}
	return errors.Join(err, d.failed, d.fuse.Close(), unix.Munmap(d.now), unix.Munmap(d.durable))
}

// FUSE's operations and structures, of linux/fuse.h, version 7.31.
const (
	fuseForget      = 2
	fuseGetattr     = 3
	fuseSetattr     = 4
	fuseOpen        = 14
	fuseRead        = 15
	fuseWrite       = 16
	fuseRelease     = 18
	fuseFsync       = 20
	fuseFlush       = 25
	fuseInit        = 26
	fuseInterrupt   = 36
	fuseDestroy     = 38
	fuseBatchForget = 42

	fuseInHeader  = 40
	fuseOutHeader = 16
	fuseWriteIn   = 40
	fuseMaxWrite  = 1 << 20

	fuseBigWrites = 1 << 5
	fuseMaxPages  = 1 << 22
	fopenDirect   = 1 // no cache above us: each write comes at once
)

// serve answers the kernel until the file is unmounted. It allocates little and
// takes no lock that anybody holds while using the file system.
func (d *disk) serve(fd int) error {
	in := make([]byte, fuseMaxWrite+4096)
	out := make([]byte, fuseOutHeader+fuseMaxWrite)
	for {
		n, err := unix.Read(fd, in)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOENT):
			continue
		case errors.Is(err, unix.ENODEV):
			return nil // unmounted
		case err != nil:
			return fmt.Errorf("reading from /dev/fuse: %w", err)
		}
		op := binary.NativeEndian.Uint32(in[4:])
		if op == fuseForget || op == fuseBatchForget || op == fuseInterrupt {
			continue // they have no answer
		}
		length, errno := d.answer(op, in[fuseInHeader:n], out[fuseOutHeader:])
		binary.NativeEndian.PutUint32(out, uint32(fuseOutHeader+length))
		binary.NativeEndian.PutUint32(out[4:], uint32(-int32(errno)))
		copy(out[8:16], in[8:16])
		if _, err := unix.Write(fd, out[:fuseOutHeader+length]); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("writing to /dev/fuse: %w", err)
		}
	}
}

// answer carries out one operation. in and out are without their headers.
func (d *disk) answer(op uint32, in, out []byte) (length int, errno unix.Errno) {
	put32, put64 := binary.NativeEndian.PutUint32, binary.NativeEndian.PutUint64
	get32, get64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	switch op {
	case fuseInit:
		clear(out[:64])
		put32(out, 7)
		put32(out[4:], 31)
		put32(out[8:], get32(in[8:])) // read ahead
		put32(out[12:], get32(in[12:])&(fuseBigWrites|fuseMaxPages))
		binary.NativeEndian.PutUint16(out[16:], 64)
		binary.NativeEndian.PutUint16(out[18:], 48)
		put32(out[20:], fuseMaxWrite)
		put32(out[24:], 1)
		binary.NativeEndian.PutUint16(out[28:], fuseMaxWrite/4096)
		return 64, 0
	case fuseGetattr, fuseSetattr:
		clear(out[:104])
		put64(out, 3600)
		attr := out[16:]
		put64(attr, 1)
		put64(attr[8:], uint64(d.size))
		put64(attr[16:], uint64(d.size/sector))
		put32(attr[60:], unix.S_IFREG|0o600)
		put32(attr[64:], 1)
		put32(attr[80:], 4096)
		return 104, 0
	case fuseOpen:
		clear(out[:16])
		put32(out[8:], fopenDirect)
		return 16, 0
	case fuseRead:
		at, n := int(get64(in[8:])), int(get32(in[16:]))
		if at >= d.size {
			return 0, 0
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		return copy(out[:min(n, fuseMaxWrite)], d.now[at:]), 0
	case fuseWrite:
		at, n := int(get64(in[8:])), int(get32(in[16:]))
		if at+n > d.size || fuseWriteIn+n > len(in) {
			return 0, unix.ENOSPC
		}
		d.write(at, in[fuseWriteIn:fuseWriteIn+n])
		clear(out[:8])
		put32(out, uint32(n))
		return 8, 0
	case fuseFsync:
		d.flush()
		return 0, 0
	case fuseFlush, fuseRelease, fuseDestroy:
		return 0, 0
	}
	return 0, unix.ENOSYS
}

func (d *disk) write(at int, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(d.now[at:], b)
	d.written += int64(len(b))
	for c := at / diskChunk; c <= (at+len(b)-1)/diskChunk; c++ {
		d.dirty[c] = true
	}
	if d.off {
		return
	}
	d.cache = append(d.cache, cached{at, append([]byte(nil), b...)})
	if d.cutIn > 0 {
		d.cutIn--
		d.off = d.cutIn == 0
	}
}

func (d *disk) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return
	}
	d.flushes++
	for _, w := range d.cache {
		copy(d.durable[w.at:], w.data)
	}
	d.cache = nil
	clear(d.dirty)
}
