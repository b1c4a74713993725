package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/store/badger"
)

// checkAddress finds out whether the router's address is free, or its own.
func (d *doctor) checkAddress(ctx context.Context) {
	if d.server != "" {
		d.askRouter(ctx, remote(d.server, d.token), "the server that was named")
		return
	}
	listen := d.config.Server.AdminAddress()
	if path, socket := config.SocketPath(listen); socket {
		d.checkSocket(ctx, path)
		return
	}
	l, err := net.Listen("tcp", listen)
	switch {
	case err == nil:
		if err := l.Close(); err != nil {
			d.warn("address", "run weir doctor again", "%s: %s", listen, err)
			return
		}
		d.ok("address", "%s is free; no router runs", listen)
	case errors.Is(err, syscall.EADDRINUSE):
		d.askRouter(ctx, local(d.config, d.token), addressName(d.config))
	case errors.Is(err, syscall.EACCES):
		d.fail("address", "take a port from 1024 on in server.listen, or give the program the capability cap_net_bind_service", "this user may not listen on %s", listen)
	default:
		d.fail("address", "write an address of this machine in server.listen", "the router can't listen on %s: %s", listen, err)
	}
}

// checkSocket does it for a socket. A file that nobody answers at is replaced by
// the next start.
func (d *doctor) checkSocket(ctx context.Context, path string) {
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		_ = c.Close() // it was only asked whether somebody is there
		d.askRouter(ctx, local(d.config, d.token), addressName(d.config))
	case errors.Is(err, syscall.EACCES):
		d.fail("address", "run weir doctor as the router's user, or one of its group", "this user may not use the socket %s", path)
	default:
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			d.fail("address", "make the folder of the socket", "%s", err)
			return
		}
		d.ok("address", "no router runs at %s", path)
	}
}

// askRouter looks at who answers at an address.
func (d *doctor) askRouter(ctx context.Context, c *client, what string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := c.get(ctx, "/healthz", nil, &api.Health{}); err != nil {
		d.fail("address", "end the program that has it (ss -ltnp shows which), or change server.listen or --server",
			"%s (%s) does not answer as a router does: %s", c.at, what, err)
		return
	}
	d.running = c
	switch reason, err := notReady(ctx, c); {
	case err != nil:
		d.fail("router", "its log says why", "the router at %s does not say whether it is ready: %s", c.at, err)
	case reason != "":
		d.fail("router", "mend that, or start it again; its log has more", "the router at %s is not ready: %s", c.at, reason)
	default:
		d.ok("router", "runs at %s and is ready", c.at)
	}
}

// notReady asks a router for the reason why it is not ready, empty when it is.
func notReady(ctx context.Context, c *client) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/readyz", nil)
	if err != nil {
		return "", err
	}
	res, err := c.do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var h api.Health
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&h); err != nil {
		return "", fmt.Errorf("%s, and no reason: %w", res.Status, err)
	}
	if res.StatusCode == http.StatusOK {
		return "", nil
	}
	return h.Status + ": " + h.Reason, nil
}

// nearest returns path, or the folder above it that exists.
func nearest(path string) string {
	for {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

func (d *doctor) checkStore(ctx context.Context) {
	path := d.config.Store.Path
	where := nearest(path)
	checkup, err := &badger.Checkup{}, error(nil)
	if where == path {
		checkup, err = badger.Examine(ctx, path, d.deep)
	}
	if !d.checkFolder(path, where, errors.Is(err, badger.ErrNoStore)) {
		return
	}
	needs := int64(badger.LeastFree)
	if checkup != nil {
		needs = max(needs, checkup.Needs)
	}
	d.checkDisk(where, needs)
	if where != path {
		return
	}
	switch {
	case errors.Is(err, badger.ErrNoStore):
		d.fail("store", "name a folder of its own in store.path", "%s", err)
	case errors.Is(err, fs.ErrPermission):
		d.fail("store", fmt.Sprintf("run weir as the user that the files in %s belong to, or give them back: chown -R USER %s", path, path), "%s", err)
	case err != nil:
		d.fail("store", "run weir doctor again; if it stays, look at the disk (dmesg, smartctl)", "%s", err)
	default:
		d.judge(ctx, path, checkup)
	}
}

// checkFolder says whether the store's folder can be used. One that is foreign, no
// store's, is not to be given other rights.
func (d *doctor) checkFolder(path, where string, foreign bool) bool {
	const check = "store folder"
	info, err := os.Stat(where)
	if err != nil {
		d.fail(check, "make it readable for the user that runs weir", "%s: %s", where, plainPathError(err))
		return false
	}
	if !info.IsDir() {
		d.fail(check, "name a folder in store.path", "%s is no folder", where)
		return false
	}
	owner, err := d.machine.folder(where)
	if err != nil {
		d.fail(check, fmt.Sprintf("make %s readable and writable for the user that runs weir: it belongs to %s, and this is %s", where, owner.name, owner.self), "%s: %s", where, err)
		return false
	}
	switch {
	case where != path:
		d.ok(check, "%s is not there yet; weir serve makes it", path)
		return true
	case foreign:
		// What is wrong with it is told of the store.
	case owner.other != "":
		d.fail(check, fmt.Sprintf("chown -R %s %s; a command that was run as another user, such as root, has made it", owner.name, path),
			"%s belongs to %s, but %s in it does not", path, owner.name, owner.other)
	case owner.name != owner.self:
		d.warn(check, "run weir as that user: files that it makes as another are closed to it", "%s belongs to %s, and this is %s", path, owner.name, owner.self)
	case info.Mode().Perm()&0o077 != 0:
		d.warn(check, "chmod 700 "+path, "%s is open to other users of this machine (mode %04o), and holds events", path, info.Mode().Perm())
	default:
		d.ok(check, "%s, for %s only", path, owner.name)
	}
	return true
}

// plainPathError leaves out the path, which stands before it.
func plainPathError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// fewInodes is from where on running out of them is near: a store makes some
// hundred files.
const fewInodes = 10_000

// checkDisk looks at the file system, of which the store itself may need so many
// bytes free.
func (d *doctor) checkDisk(path string, needs int64) {
	disk, err := d.machine.fileSystem(path)
	if err != nil {
		d.warn("file system", "look at the disk", "%s: %s", path, err)
		return
	}
	switch {
	case disk.readOnly:
		d.fail("file system", "mount it for writing (dmesg says whether the kernel has stopped writing after an error)", "%s is mounted read-only", path)
	case disk.volatile != "":
		d.warn("file system", "name a folder on a disk in store.path", "%s is %s: %s", path, disk.name, disk.volatile)
	case disk.remote:
		d.warn("file system", "name a folder on a local disk in store.path", "%s is on %s, a network file system: what it promises of flushes and locks is not what the store needs", path, disk.name)
	default:
		d.ok("file system", "%s", disk.name)
	}
	least, what, do := d.config.Store.MinFree, "min_free", "shorten store.retention, or lower store.min_free"
	text := config.FormatSize(least)
	if least < needs {
		if least > 0 {
			d.warn("disk space", "write at least that for store.min_free", "min_free (%s) is less than what flushes and compactions may need (%s)", text, bytesText(needs))
		}
		least, what, do, text = needs, "what the store needs", "or shorten store.retention", bytesText(needs)
	}
	switch {
	case disk.free < least:
		d.fail("disk space", "make space on the disk of "+path+", "+do,
			"%s free, less than %s (%s): events are refused with 507", bytesText(disk.free), what, text)
	case disk.free < 2*least:
		d.warn("disk space", "make space on the disk of "+path+" before it is used up", "%s free; below %s (%s) events are refused", bytesText(disk.free), text, what)
	default:
		d.ok("disk space", "%s free, %s is %s", bytesText(disk.free), what, text)
	}
	switch {
	case disk.inodes == 0: // made as they are needed
	case disk.inodesFree < 100:
		d.fail("inodes", "remove files from the disk of "+path, "%d of %d left: no more files can be made", disk.inodesFree, disk.inodes)
	case disk.inodesFree < fewInodes:
		d.warn("inodes", "remove files from the disk of "+path, "%d of %d left", disk.inodesFree, disk.inodes)
	default:
		d.ok("inodes", "%d of %d left", disk.inodesFree, disk.inodes)
	}
}

// judge tells what was found in the store.
func (d *doctor) judge(ctx context.Context, path string, c *badger.Checkup) {
	const check = "store"
	if len(c.Strange) > 0 {
		d.warn(check, "move what is not the store's out of "+path, "it holds other files too: %s", strings.Join(c.Strange[:min(3, len(c.Strange))], ", "))
	}
	switch {
	case c.InUse && d.running == nil:
		d.fail(check, "find the process (fuser "+filepath.Join(path, "weir.lock")+") and end it, or let server.listen be its address",
			"another process has it open, and no router answers at %s", d.config.Server.AdminAddress())
		return
	case c.InUse:
		d.ok(check, "open in the running router, and so not looked into; stop the router to have its files checked")
		d.askNewest(ctx)
		return
	case c.Empty:
		d.ok(check, "empty")
		return
	case c.FaultCount > 0:
		do := "Copy " + path + " to another disk before anything else, then look at this one (dmesg, smartctl)"
		if !d.deep {
			do += "\nweir doctor --deep reads all of it"
		}
		for i, f := range c.Faults {
			if i > 0 {
				do = ""
			}
			if !strings.Contains(f, "damaged") {
				f = "damaged: " + f
			}
			d.fail(check, do, "%s", f)
		}
		if more := c.FaultCount - len(c.Faults); more > 0 {
			d.fail(check, "", "and %d more", more)
		}
		return
	}
	rest := "no tables yet"
	if c.Version > 0 {
		rest = fmt.Sprintf("layout %d, %s of events, %s of tables, ", c.Version, bytesText(c.EventBytes), bytesText(c.Bytes))
		if d.deep {
			rest += fmt.Sprintf("all events and %d rows match their checksums", c.Rows)
		} else {
			rest += "of which what a start reads is sound; --deep checks every event and row"
		}
	}
	if c.Logs > 0 {
		torn := ""
		if c.Torn {
			torn = ", whose torn end is cut off then: a write that nobody was answered, or damage"
		}
		d.warn(check, "weir serve does so when it starts. Stop it with SIGTERM, and weir doctor can look at all of the rows",
			"it was not closed: what came last stands in %s, which the next start makes rows of%s; else %s", count(c.Logs, "log"), torn, rest)
	} else if c.Torn {
		d.warn(check, "nothing; the next start does so, and its log says where, and whether events were lost",
			"the newest file of events has a torn end, which the next start mends or cuts off: a write that nobody was answered, or damage; else %s", rest)
	} else {
		d.ok(check, "%s", rest)
	}
	d.checkNewest(c.Newest)
}

// askNewest has the running router say when the newest event came.
func (d *doctor) askNewest(ctx context.Context) {
	var list api.EventList
	if err := d.running.get(ctx, "/api/events", url.Values{"limit": {"1"}}, &list); err != nil {
		d.warn("newest event", "its log says why", "the router does not tell: %s", err)
		return
	}
	if len(list.Events) > 0 {
		d.checkNewest(list.Events[0].Received)
	}
}

// ahead is by how much clocks may differ without a word.
const ahead = time.Minute

func (d *doctor) checkNewest(received time.Time) {
	if received.IsZero() {
		return
	}
	if by := received.Sub(d.now()); by > ahead {
		d.warn("newest event", "set the clock right; until it has come there, new events are given the time of that one, and retention waits",
			"was received at %s, %s from now: the clock was ahead then, or has been set back since", clock(received), by.Round(time.Second))
		return
	}
	d.ok("newest event", "received at %s", clock(received))
}
