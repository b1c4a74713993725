package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

// soundMachine is one on which all is well.
func soundMachine() machine {
	return machine{
		folder: func(string) (owner, error) { return owner{name: "weir", self: "weir"}, nil },
		fileSystem: func(string) (fileSystem, error) {
			return fileSystem{name: "ext4", free: 100 << 30, inodes: 1 << 20, inodesFree: 1 << 20}, nil
		},
		openFiles: func() uint64 { return 1 << 20 },
		memory:    func() (int64, string) { return 8 << 30, "all of the machine's" },
		clock:     func() clockState { return clockState{known: true, synchronised: true} },
	}
}

// patient is a configuration, and a store where it says.
type patient struct {
	dir, config, store string
}

func newPatient(t *testing.T, more string) *patient {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("server {\n  listen = %q\n}\n", freeAddress(t)) + validConfig + more
	return &patient{dir: dir, config: writeFile(t, dir, "router.hcl", text), store: filepath.Join(dir, "data")}
}

// fill stores an event, received at a time.
func (p *patient) fill(t *testing.T, received time.Time) {
	t.Helper()
	s, err := badger.Open(t.Context(), badger.Options{Path: p.store, Now: func() time.Time { return received }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Commit(t.Context(), &store.Record{Events: []store.NewEvent{{Event: &event.Event{
		ID: event.NewID(received), Type: "t", Source: "events", Time: received, Received: received, ContentType: "application/json", Data: []byte("{}"),
	}}}})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}

func (p *patient) doctor() *doctor {
	return &doctor{machine: soundMachine(), configPath: p.config, now: time.Now}
}

func examine(t *testing.T, d *doctor) *assessment {
	t.Helper()
	d.examine(t.Context())
	return d.assessment()
}

// found looks for a finding with a status, of a check, whose text and advice hold
// some words.
func (a *assessment) found(status, check, text, do string) bool {
	for _, f := range a.Findings {
		if f.Status == status && f.Check == check && strings.Contains(f.Found, text) && strings.Contains(f.Do, do) {
			return true
		}
	}
	return false
}

func TestDoctorFindsNothing(t *testing.T) {
	p := newPatient(t, "")
	a := examine(t, p.doctor())
	if a.Failures+a.Warnings > 0 || !a.found(findingOK, "store folder", "is not there yet", "") {
		t.Errorf("nothing stored yet: got %+v", a)
	}
	if _, err := os.Stat(p.store); err == nil {
		t.Error("it has made the store's folder")
	}
	p.fill(t, time.Now())
	for _, deep := range []bool{false, true} {
		d := p.doctor()
		d.deep = deep
		a := examine(t, d)
		if a.Failures+a.Warnings > 0 {
			t.Errorf("got %+v", a)
		}
		for _, check := range []string{"configuration", "address", "store folder", "file system", "disk space", "inodes", "store", "newest event", "open files", "memory", "clock"} {
			if !a.found(findingOK, check, "", "") {
				t.Errorf("nothing is said of %s: %+v", check, a)
			}
		}
		if a.found(findingOK, "store", "match their checksums", "") != deep {
			t.Errorf("deep %v: got %+v", deep, a)
		}
	}
}

func TestDoctorFinds(t *testing.T) {
	listener := func(t *testing.T, h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	cases := []struct {
		name   string
		config string
		// sick makes something wrong.
		sick                    func(t *testing.T, p *patient, d *doctor)
		status, check, text, do string
	}{
		{"a broken configuration", "route \"x\" {\n}\n", nil, findingFail, "configuration", "line 11: Missing attribute", "weir validate"},
		{"a warning", "", func(t *testing.T, p *patient, _ *doctor) {
			p.config = writeFile(t, p.dir, "router.hcl", validConfig+"destination \"far\" {\n  url = \"https://example.com/\"\n}\nroute \"f\" {\n  to = [destination.far]\n}\n")
		}, findingWarn, "configuration", "1 warning", "weir validate"},
		{"no configuration", "", func(_ *testing.T, p *patient, d *doctor) { d.configPath = filepath.Join(p.dir, "none.hcl") }, findingFail, "configuration", "none.hcl", ""},
		{"a secret that is not set", "destination \"s\" {\n  url    = \"stdout:\"\n  secret = env(\"WEIR_DOCTOR_NO_SUCH\")\n}\n", nil, findingFail, "secrets", "WEIR_DOCTOR_NO_SUCH", "set them"},
		{"a secret that is not set: the store is looked at", "destination \"s\" {\n  url    = \"stdout:\"\n  secret = env(\"WEIR_DOCTOR_NO_SUCH\")\n}\n",
			func(t *testing.T, p *patient, _ *doctor) { p.fill(t, time.Now()) }, findingOK, "store", "sound", ""},
		{"no module", "plugin \"p\" {\n  wasm = \"none.wasm\"\n}\n", nil, findingFail, "configuration", "none.wasm", ""},
		{"a module of another ABI", "plugin \"p\" {\n  wasm = \"p.wasm\"\n}\n", func(t *testing.T, p *patient, _ *doctor) {
			writeFile(t, p.dir, "p.wasm", "\x00asm\x01\x00\x00\x00")
		}, findingFail, "configuration", "weir_abi_v1", ""},
		{"a module that does not compile", "plugin \"p\" {\n  wasm = \"p.wasm\"\n}\n", func(t *testing.T, p *patient, _ *doctor) {
			writeFile(t, p.dir, "p.wasm", filterModule("\x1a\x41\x01")) // drops what is not there
		}, findingFail, "plugin p", "damaged", "build it again"},
		{"a module that traps", "plugin \"p\" {\n  wasm = \"p.wasm\"\n}\n", func(t *testing.T, p *patient, _ *doctor) {
			writeFile(t, p.dir, "p.wasm", strings.Replace(filterModule("\x41\x01"), "weir_filter", "weir_init\x00x", 1))
		}, findingFail, "configuration", "weir_filter", ""},
		{"a good module", "plugin \"p\" {\n  wasm = \"p.wasm\"\n}\n", func(t *testing.T, p *patient, _ *doctor) {
			writeFile(t, p.dir, "p.wasm", filterModule("\x41\x01"))
		}, findingOK, "plugin p", "filter, ABI 1", ""},
		{"another program at the address", "", func(t *testing.T, p *patient, d *doctor) {
			address := listener(t, http.NotFoundHandler())
			d.configPath = writeFile(t, p.dir, "router.hcl", fmt.Sprintf("server {\n  listen = %q\n}\n", address)+validConfig)
		}, findingFail, "address", "does not answer as a router does", "ss -ltnp"},
		{"a router that is not ready", "", func(t *testing.T, p *patient, d *doctor) {
			mux := http.NewServeMux()
			mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ok"}`) })
			mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprint(w, `{"status":"not ready","reason":"the disk is full"}`)
			})
			d.server = "http://" + listener(t, mux)
		}, findingFail, "router", "the disk is full", ""},
		{"no router where one was named", "", func(t *testing.T, _ *patient, d *doctor) { d.server = "http://" + freeAddress(t) }, findingFail, "address", "does not answer", "--server"},
		{"a file for a folder", "", func(t *testing.T, p *patient, _ *doctor) { writeFile(t, p.dir, "data", "x") }, findingFail, "store folder", "is no folder", "store.path"},
		{"a folder of another user", "", func(t *testing.T, p *patient, d *doctor) {
			p.fill(t, time.Now())
			d.machine.folder = func(string) (owner, error) { return owner{name: "alice", self: "bob"}, nil }
		}, findingWarn, "store folder", "belongs to alice, and this is bob", "as that user"},
		{"files of another user", "", func(t *testing.T, p *patient, d *doctor) {
			p.fill(t, time.Now())
			d.machine.folder = func(string) (owner, error) { return owner{name: "alice", self: "alice", other: "000001.sst"}, nil }
		}, findingFail, "store folder", "000001.sst", "chown -R alice"},
		{"a folder that is open to all", "", func(t *testing.T, p *patient, _ *doctor) {
			p.fill(t, time.Now())
			if err := os.Chmod(p.store, 0o755); err != nil {
				t.Fatal(err)
			}
		}, findingWarn, "store folder", "0755", "chmod 700"},
		{"a folder that can't be read", "", func(t *testing.T, p *patient, d *doctor) {
			p.fill(t, time.Now())
			d.machine.folder = func(string) (owner, error) {
				return owner{name: "alice", self: "bob"}, errors.New("permission denied")
			}
		}, findingFail, "store folder", "permission denied", "it belongs to alice, and this is bob"},
		{"memory for a disk", "", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.fileSystem = func(string) (fileSystem, error) {
				return fileSystem{name: "tmpfs", volatile: "gone", free: 1 << 40}, nil
			}
		}, findingWarn, "file system", "tmpfs: gone", "store.path"},
		{"a network for a disk", "", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.fileSystem = func(string) (fileSystem, error) { return fileSystem{name: "NFS", remote: true, free: 1 << 40}, nil }
		}, findingWarn, "file system", "NFS", "local disk"},
		{"a disk that is read-only", "", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.fileSystem = func(string) (fileSystem, error) {
				return fileSystem{name: "ext4", readOnly: true, free: 1 << 40}, nil
			}
		}, findingFail, "file system", "read-only", "mount"},
		{"no space, as the real disk has it", "store \"badger\" {\n  min_free = \"900TiB\"\n}\n", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.fileSystem = thisMachine().fileSystem
		}, findingFail, "disk space", "less than min_free (900TiB)", "make space"},
		{"little space", "", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.fileSystem = func(string) (fileSystem, error) { return fileSystem{name: "ext4", free: 3 << 29}, nil }
		}, findingWarn, "disk space", "1.5 GiB free", "before"},
		{"a min_free that says too little", "store \"badger\" {\n  min_free = \"16MiB\"\n}\n", nil, findingWarn, "disk space", "min_free (16MiB) is less than what flushes and compactions may need (224 MiB)", "store.min_free"},
		{"less space than the store needs", "store \"badger\" {\n  min_free = \"16MiB\"\n}\n", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.fileSystem = func(string) (fileSystem, error) { return fileSystem{name: "ext4", free: 100 << 20}, nil }
		}, findingFail, "disk space", "100 MiB free, less than what the store needs (224 MiB)", "make space"},
		{"no inodes", "", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.fileSystem = func(string) (fileSystem, error) {
				return fileSystem{name: "ext4", free: 1 << 40, inodes: 1000, inodesFree: 7}, nil
			}
		}, findingFail, "inodes", "7 of 1000", "remove"},
		{"few inodes", "", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.fileSystem = func(string) (fileSystem, error) {
				return fileSystem{name: "ext4", free: 1 << 40, inodes: 1 << 20, inodesFree: 700}, nil
			}
		}, findingWarn, "inodes", "700 of", "remove"},
		{"garbage for a store", "", func(t *testing.T, p *patient, _ *doctor) { writeFile(t, p.dir, "data/letter.txt", "Dear") }, findingFail, "store", "letter.txt", "a folder of its own"},
		{"a stranger's file in the store", "", func(t *testing.T, p *patient, _ *doctor) {
			p.fill(t, time.Now())
			writeFile(t, p.dir, "data/letter.txt", "Dear")
		}, findingWarn, "store", "letter.txt", "move"},
		{"a store without its manifest", "", func(t *testing.T, p *patient, _ *doctor) {
			p.fill(t, time.Now())
			if err := os.Remove(filepath.Join(p.store, "MANIFEST")); err != nil {
				t.Fatal(err)
			}
		}, findingFail, "store", "MANIFEST is missing", "Copy"},
		{"a damaged table", "", func(t *testing.T, p *patient, _ *doctor) {
			p.fill(t, time.Now())
			list, err := filepath.Glob(filepath.Join(p.store, "*.sst"))
			if err != nil || len(list) == 0 {
				t.Fatalf("tables %v, error %v", list, err)
			}
			if err := os.Truncate(list[0], 100); err != nil {
				t.Fatal(err)
			}
		}, findingFail, "store", ".sst", "Copy"},
		{"a torn end of the events", "", func(t *testing.T, p *patient, _ *doctor) {
			p.fill(t, time.Now())
			list, err := filepath.Glob(filepath.Join(p.store, "*.seg"))
			if err != nil || len(list) != 1 {
				t.Fatalf("segments %v, error %v", list, err)
			}
			b, err := os.ReadFile(list[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(list[0], append(b, "torn"...), 0o600); err != nil {
				t.Fatal(err)
			}
		}, findingWarn, "store", "has a torn end", "the next start"},
		{"a store in use", "", func(t *testing.T, p *patient, _ *doctor) {
			s, err := badger.Open(t.Context(), badger.Options{Path: p.store})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}, findingFail, "store", "another process has it open", "fuser"},
		{"an event of tomorrow", "", func(t *testing.T, p *patient, _ *doctor) { p.fill(t, time.Now().Add(24*time.Hour)) }, findingWarn, "newest event", "from now", "set the clock right"},
		{"few open files", "", func(_ *testing.T, _ *patient, d *doctor) { d.machine.openFiles = func() uint64 { return 256 } }, findingWarn, "open files", "at most 256", "LimitNOFILE"},
		{"little memory", "", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.memory = func() (int64, string) { return 128 << 20, "limit of the control group" }
		}, findingWarn, "memory", "128 MiB (limit of the control group)", "raise"},
		{"a clock without a battery", "", func(_ *testing.T, _ *patient, d *doctor) { d.now = func() time.Time { return time.Unix(1000, 0) } }, findingFail, "clock", "1970-01-01", "set the clock"},
		{"a clock that is not synchronised", "", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.clock = func() clockState { return clockState{known: true} }
		}, findingWarn, "clock", "not synchronised", "chrony"},
		{"a clock that jumps", "", func(_ *testing.T, _ *patient, d *doctor) {
			d.machine.clock = func() clockState { return clockState{known: true, synchronised: true, drift: time.Second} }
		}, findingWarn, "clock", "it is being changed", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPatient(t, c.config)
			d := p.doctor()
			if c.sick != nil {
				c.sick(t, p, d)
			}
			a := examine(t, d)
			if !a.found(c.status, c.check, c.text, c.do) {
				t.Errorf("want %s of %s: %q, %q; got %+v", c.status, c.check, c.text, c.do, a.Findings)
			}
			if (c.status == findingFail) != (a.Failures > 0) && !strings.Contains(c.name, "secret") {
				t.Errorf("%d failures: %+v", a.Failures, a.Findings)
			}
		})
	}
}

// filterModule is the least plugin: a filter with a body. What the body leaves
// on the stack is its answer.
func filterModule(body string) string {
	vec := func(s string) string { return string(rune(len(s))) + s }
	code := vec("\x00"+body+"\x0b") + vec("\x00\x0b")
	exports := vec("weir_filter") + "\x00\x00" + vec("weir_abi_v1") + "\x00\x01" + vec("memory") + "\x02\x00"
	return "\x00asm\x01\x00\x00\x00" +
		"\x01" + vec("\x02\x60\x00\x01\x7f\x60\x00\x00") + "\x03" + vec("\x02\x00\x01") + "\x05" + vec("\x01\x00\x01") +
		"\x07" + vec("\x03"+exports) + "\x0a" + vec("\x02"+code)
}

// What a command line gets: a table, or JSON, and the exit code.
func TestDoctorCommand(t *testing.T) {
	p := newPatient(t, "")
	out, errOut, code := runConfig(t, "", "doctor", "-c", p.config)
	if code != 0 || errOut != "" || !strings.Contains(out, "ok    configuration") {
		t.Errorf("code %d\n%s%s", code, out, errOut)
	}
	writeFile(t, p.dir, "data/letter.txt", "Dear")
	out, _, code = runConfig(t, "", "doctor", "-c", p.config)
	if code != 1 || !strings.Contains(out, "→ name a folder of its own in store.path") || !strings.Contains(out, "1 failure") {
		t.Errorf("code %d\n%s", code, out)
	}
	out, _, code = runConfig(t, "", "doctor", "-c", p.config, "-o", "json")
	var a assessment
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != 1 || a.Failures != 1 || !a.found(findingFail, "store", "letter.txt", "store.path") {
		t.Errorf("code %d, error %v\n%s", code, err, out)
	}
	if _, _, code = runConfig(t, "", "doctor", "-c", p.config, "-o", "yaml"); code != 2 {
		t.Errorf("-o yaml: code %d", code)
	}
}

// Beside a running router nothing fails, and nothing of its store is touched;
// when it was killed, its log is said to be unread, and stays so.
func TestDoctorBesideRouter(t *testing.T) {
	r, config := configured(t, validConfig)
	if status, answer := post(t, r.base+"/events", `{"event":"a","data":1}`); status != http.StatusAccepted {
		t.Fatalf("%d %v", status, answer)
	}
	out, errOut, code := weir(t, filepath.Dir(config), "doctor", "-c", config)
	for _, want := range []string{"and is ready", "open in the running router", "newest event"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("running: code %d, want %q\n%s%s", code, want, out, errOut)
		}
	}
	r.kill()
	for range 2 {
		out, errOut, code = weir(t, filepath.Dir(config), "doctor", "--deep", "-c", config)
		if code != 0 || !strings.Contains(out, "it was not closed") {
			t.Errorf("killed: code %d\n%s%s", code, out, errOut)
		}
	}
	if out, errOut, code := weir(t, filepath.Dir(config), "events", "ls", "-c", config); code != 0 || !strings.Contains(out, "evt_") {
		t.Errorf("the event is gone: code %d\n%s%s", code, out, errOut)
	}
	out, errOut, code = weir(t, filepath.Dir(config), "doctor", "--deep", "-c", config)
	if code != 0 || !strings.Contains(out, "match their checksums") {
		t.Errorf("closed: code %d\n%s%s", code, out, errOut)
	}
}

// An address that the machine does not have, or may not take.
func TestDoctorAddress(t *testing.T) {
	p := newPatient(t, "")
	d := p.doctor()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d.configPath = writeFile(t, p.dir, "router.hcl", fmt.Sprintf("server {\n  listen = %q\n}\n", l.Addr())+validConfig)
	go func() { // a program that closes whatever it is sent
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	if a := examine(t, d); !a.found(findingFail, "address", "does not answer as a router does", "") {
		t.Errorf("got %+v", a)
	}
}

// What is said is said once, and of what it is true of.
func TestDoctorTexts(t *testing.T) {
	p := newPatient(t, "route \"x\" {\n}\n")
	if a := examine(t, p.doctor()); !a.found(findingWarn, "store", "the configuration has errors", "mend") {
		t.Errorf("a wrong route: got %+v", a)
	}

	p = newPatient(t, "")
	writeFile(t, p.dir, "data/letter.txt", "Dear")
	if err := os.Chmod(p.store, 0o755); err != nil {
		t.Fatal(err)
	}
	if a := examine(t, p.doctor()); a.found(findingWarn, "store folder", "", "chmod") || !a.found(findingFail, "store", "letter.txt", "") {
		t.Errorf("a foreign folder: got %+v", a)
	}

	p = newPatient(t, "")
	p.fill(t, time.Now())
	list, err := filepath.Glob(filepath.Join(p.store, "*.sst"))
	if err != nil || len(list) == 0 {
		t.Fatalf("tables %v, error %v", list, err)
	}
	if err := os.Remove(list[0]); err != nil {
		t.Fatal(err)
	}
	for _, f := range examine(t, p.doctor()).Findings {
		if f.Check == "store" && (f.Status != findingFail || strings.Count(f.Found, "damaged") != 1) {
			t.Errorf("a missing table: got %+v", f)
		}
	}

	p = newPatient(t, "")
	p.fill(t, time.Now())
	if err := os.Remove(filepath.Join(p.store, "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	if a := examine(t, p.doctor()); a.found(findingFail, "store", "begin anew and remove", "") || !a.found(findingFail, "store", "MANIFEST is missing", "") {
		t.Errorf("no manifest: got %+v", a)
	}
}
