package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// wounds are what is done to a file. end is where its data ends: logs are files
// of zeros behind it.
var wounds = []struct {
	name string
	do   func(f *os.File, end int64) error
}{
	{"cut short by 7 bytes", func(f *os.File, end int64) error { return f.Truncate(max(0, end-7)) }},
	{"flipped at the end", func(f *os.File, end int64) error { return flip(f, end-1) }},
	{"flipped in the middle", func(f *os.File, end int64) error { return flip(f, end/2) }},
	{"removed", func(f *os.File, _ int64) error { return os.Remove(f.Name()) }},
	// The long form has these, too.
	{"flipped at its begin", func(f *os.File, end int64) error { return flip(f, min(30, end/3)) }},
	{"cut in half", func(f *os.File, end int64) error { return f.Truncate(end / 2) }},
}

func flip(f *os.File, at int64) error {
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		return err
	}
	b[0] ^= 0x10
	_, err := f.WriteAt(b, at)
	return err
}

// dataEnd is where a file's last byte other than zero ends.
func dataEnd(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	b := make([]byte, 1<<20)
	for end := info.Size(); end > 0; {
		from := max(0, end-int64(len(b)))
		n, err := f.ReadAt(b[:end-from], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if b[i] != 0 {
				return from + int64(i) + 1, nil
			}
		}
		end = from
	}
	return 0, nil
}

// proveDamage damages files of a store that was killed, one at a time. The router
// then serves all that was accepted, or refuses with the file's name, or reports
// the damage. It never serves fewer events without a word, nor other bytes, and
// never crashes.
func proveDamage(ctx context.Context, t *trial) (string, error) {
	l := newLedger(filepath.Base(t.dir))
	rec, err := startReceiver(l, always)
	if err != nil {
		return "", err
	}
	defer rec.stop()
	w, err := t.router(rec.destination("plain") + route("plain", "plain", []string{"plain"}))
	if err != nil {
		return "", err
	}
	for fill := range 3 {
		if err := w.start(ctx); err != nil {
			return "", err
		}
		p := produce(l, w, traffic{producers: 8, kinds: []string{"plain", "none"}, size: sizes(50, 3000)})
		err := eventually(ctx, 30*time.Second, "events to be accepted", func() (bool, error) { return p.answered.Load() >= 250, nil })
		p.stop()
		if err != nil {
			return "", err
		}
		if fill == 2 {
			break // what follows stays in the log
		}
		if err := w.stop(30 * time.Second); err != nil {
			return "", err
		}
	}
	// What the store notes of itself now and then, it has noted.
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return "", err
	}
	w.kill()
	original := w.store
	fresh := func() error {
		w.store = filepath.Join(t.dir, "damaged")
		if err := os.RemoveAll(w.store); err != nil {
			return err
		}
		return command(ctx, "cp", "-a", original, w.store)
	}
	if err := fresh(); err != nil {
		return "", err
	}
	if outcome, err := serveDamaged(ctx, w, l, ""); err != nil {
		return "", err
	} else if outcome != "served" {
		return "", violated("a store that is whole is %s", outcome)
	}
	if t.broken() {
		return "", nil
	}
	names, err := storeFiles(original)
	if err != nil {
		return "", err
	}
	outcomes := map[string]int{}
	var v violations
	chosen := wounds[:]
	if t.short {
		chosen = chosen[:4]
	}
	for _, name := range names {
		for _, wound := range chosen {
			what := name + " " + wound.name
			if err := fresh(); err != nil {
				return "", err
			}
			if err := hurt(filepath.Join(w.store, name), wound.do); err != nil {
				return "", fmt.Errorf("%s: %w", what, err)
			}
			outcome, err := serveDamaged(ctx, w, l, name)
			var found *violations
			switch {
			case errors.As(err, &found):
				v.addf("%s: %s", what, found.texts[0])
			case err != nil:
				return "", fmt.Errorf("%s: %w", what, err)
			}
			outcomes[outcome]++
		}
	}
	if err := v.err(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d files, %d wounds: %d served whole, %d refused, %d reported; %s", len(names), len(names)*len(chosen),
		outcomes["served"], outcomes["refused"], outcomes["reported"], l.tally()), nil
}

// storeFiles gives what there is to damage: the newest file of each kind.
func storeFiles(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	newest := map[string]string{}
	for _, e := range entries { // by name, and numbers have a fixed width
		if e.IsDir() || e.Name() == "LOCK" || e.Name() == "weir.reserve" {
			continue // a lock, and blocks that are kept free: what they hold says nothing
		}
		f, err := os.Open(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		end, err := dataEnd(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		if end > 8 { // what holds nothing can't be damaged
			key := filepath.Ext(e.Name())
			if key == "" {
				key = e.Name()
			}
			newest[key] = e.Name()
		}
	}
	var names []string
	for _, name := range newest {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) < 3 {
		return nil, fmt.Errorf("only %v are there to be damaged", names)
	}
	return names, nil
}

func hurt(path string, wound func(*os.File, int64) error) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	end, err := dataEnd(f)
	if err == nil {
		err = wound(f, end)
	}
	return errors.Join(err, f.Close())
}

// serveDamaged starts the router and says what it makes of its store: "served",
// "refused" or "reported". name is the file that is damaged.
func serveDamaged(ctx context.Context, w *weir, l *ledger, name string) (string, error) {
	defer w.kill()
	if err := w.launch(); err != nil {
		return "", err
	}
	// A router that says of a file that it is damaged need not become ready.
	err := w.answers(ctx, 60*time.Second, func(ready bool) bool { return ready || reported(w.words(), name) })
	if why := w.crash(false); why != "" {
		return "", violated("%s", why)
	}
	if errors.Is(err, errEnded) {
		var exit *exec.ExitError
		if !errors.As(w.ended, &exit) || !strings.Contains(w.words(), name) {
			return "", violated("it refuses without the file's name (%v): %s", w.ended, w.lastWords(3))
		}
		return "refused", nil
	}
	if errors.Is(err, errLate) {
		return "", violated("it is neither ready nor ended: %s", w.lastWords(3))
	}
	if err != nil {
		return "", err
	}
	told := reported(w.words(), name)
	_, v, err := w.listed(ctx, l)
	var answer *errAnswer
	switch {
	case errors.As(err, &answer) && answer.status >= 500:
		return w.outcome("reported")
	case err != nil:
		return "", violated("the events can't be listed: %v", err)
	case v.count > 0 && !told:
		return "", violated("%d of %d accepted events are gone without a word; %s; its log says: %s", v.count, l.tally().accepted, v.texts[0], w.lastWords(4))
	}
	outcome := "served"
	if v.count > 0 {
		outcome = "reported"
	}
	for id, number := range l.acceptedIDs() {
		var e struct {
			Data json.RawMessage `json:"data"`
		}
		switch err := w.get(ctx, "/api/events/"+id, &e); {
		case errors.As(err, &answer) && (answer.status >= 500 || told):
			outcome = "reported"
			continue
		case err != nil:
			return "", violated("event %d (%s) is lost without a word: %v", number, id, err)
		}
		if h, _, ok := readHead(e.Data); !ok || string(e.Data) != string(data(number, h.Size)) {
			return "", violated("event %d (%s) has other data than was sent: %.100s", number, id, e.Data)
		}
	}
	return w.outcome(outcome)
}

// outcome is one, unless the router has crashed meanwhile.
func (w *weir) outcome(s string) (string, error) {
	if !w.alive() {
		return "", violated("it ended while it was asked (%v): %s", w.ended, w.lastWords(20))
	}
	return s, nil
}

// reported says whether a log warns of a file.
func reported(log, name string) bool {
	for line := range strings.SplitSeq(log, "\n") {
		if name != "" && (strings.Contains(line, "[ERROR]") || strings.Contains(line, "[WARN]")) && strings.Contains(line, name) {
			return true
		}
	}
	return false
}
