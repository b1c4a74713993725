// Package archive keeps what of the configurations decides where events go, as
// long as an event is stored that one of them routed: to explain it, and to route
// again by the same what a crash has cut off. It keeps routes, plugins' config and
// modules, by their hash. It does not keep destinations' addresses.
//
// # Invariants
//
//   - Kept first. A configuration is in the store, whole, before it routes its first
//     event.
//   - Epochs tell who routed. Each stretch of the log was routed by one
//     configuration, from an epoch's From to its Until. Only the last one may have no
//     Until: it is running, or was cut off. A clean stop sets it, so that nothing is
//     taken for cut off.
//   - Kept as long. A configuration and the modules that it names are kept while an
//     event is stored that is in one of its epochs, those included that are kept
//     aside beyond retention; and where it also routed older events again, while
//     such ones may be stored. What no epoch names is deleted.
//   - Sealed. What is kept is encrypted with the key of the webhooks' secrets
//     (AES-256-GCM), each document tied to its name. Only the list of epochs, with
//     hashes and positions, is in the clear. Where there is no key to be had, routing
//     goes on and the documents are in the clear: a promise about bytes is not given
//     up for one about reading them.
//   - No secret of a destination is kept, but a salted hash of it, which says no more
//     than whether it is another one now.
//   - Bounded. Past maxEpochs epochs or maxModules bytes of modules the oldest go
//     first, before their time; never those that a crash needs. Losing one loses
//     explanations, and no event.
//
// A crash between the records that keep a configuration leaves pieces which the
// list names and which the next run deletes.
package archive

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/store"
)

// Kinds of documents: the list, configurations by id, and modules by digest, in
// pieces.
const (
	kindList    = "archive"
	kindConfigs = "archive.config"
	kindModules = "archive.module"
	listName    = "epochs"
)

// Bounds of what is kept.
const (
	maxEpochs  = 1024
	maxModules = 512 << 20
	// modulePiece bounds what of a module is in one document, because the store
	// bounds a record.
	modulePiece = 2 << 20
	// maxModule is what a module may have when it is read again.
	maxModule = 256 << 20
)

// ErrLost says that a configuration is not kept.
var ErrLost = fmt.Errorf("the configuration that routed the event is not kept any more (the oldest go first past %d MiB of modules or %d configurations)", maxModules>>20, maxEpochs)

// Sealer encrypts. owner ties what is sealed to its place. Its methods are called
// from any goroutine.
type Sealer interface {
	// ID names the key that seals.
	ID() string
	SealBytes(b []byte, owner string) []byte
	OpenBytes(sealed []byte, owner string) ([]byte, error)
}

// Epoch is a stretch of the log and the configuration that routed it.
type Epoch struct {
	From  uint64 `json:"from"`
	Until uint64 `json:"until,omitempty"`
	// ID names what decides, Hash is that of the configuration's files: the same
	// files in another environment are another ID.
	ID   string `json:"id"`
	Hash string `json:"hash"`
	// Again: it also routed events before From again.
	Again bool `json:"again,omitempty"`
}

// list is the document that says what is kept.
type list struct {
	// Key is the one that sealed everything, Salt that of the hashes of secrets.
	Key     string            `json:"key,omitempty"`
	Salt    []byte            `json:"salt"`
	Epochs  []Epoch           `json:"epochs,omitempty"`
	Configs map[string]entry  `json:"configs,omitempty"`
	Modules map[string]module `json:"modules,omitempty"`
}

type entry struct {
	Modules []string `json:"modules,omitempty"` // digests
}

type module struct {
	// Key sealed it, and is part of its pieces' names: encrypting it anew writes
	// others.
	Key    string `json:"key,omitempty"`
	Pieces int    `json:"pieces"`
	Size   int    `json:"size"`
	// Whole: all pieces are stored.
	Whole bool `json:"whole,omitempty"`
}

// Archive is safe for concurrent use.
type Archive struct {
	store store.Store
	keys  Sealer // nil where there is no key
	salt  []byte // the list's, which never changes

	mu    sync.Mutex
	list  list
	again bool // the running epoch has routed older events again
	room  int  // maxModules, but for tests
}

// Open reads what is kept. keys may be nil.
func Open(ctx context.Context, st store.Store, keys Sealer) (*Archive, error) {
	a := &Archive{store: st, keys: keys, room: maxModules}
	b, err := st.Document(ctx, kindList, listName)
	switch {
	case errors.Is(err, store.ErrNotFound):
		a.list.Salt = make([]byte, 16)
		_, _ = rand.Read(a.list.Salt) // it never fails
	case err != nil:
		return nil, fmt.Errorf("read which configurations are kept: %w", err)
	default:
		if err := json.Unmarshal(b, &a.list); err != nil {
			return nil, fmt.Errorf("read which configurations are kept: %w", err)
		}
	}
	a.salt = a.list.Salt
	return a, nil
}

// Epochs are those that are kept, in the log's order.
func (a *Archive) Epochs() []Epoch {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list.Epochs)
}

// Running reports whether the last epoch has no end: it runs, or was cut off.
func Running(list []Epoch) bool { return len(list) > 0 && list[len(list)-1].Until == 0 }

// End is the last position of an epoch, or last where it has no end.
func (e *Epoch) End(last uint64) uint64 {
	if e.Until != 0 {
		return e.Until
	}
	return last
}

// RoutedAgain tells that the running configuration routes an older event again.
func (a *Archive) RoutedAgain() {
	a.mu.Lock()
	a.again = true
	a.mu.Unlock()
}

// Begin records that c routes what comes after a position, and keeps c. Epochs that
// began after it have routed nothing.
func (a *Archive) Begin(ctx context.Context, c *config.Config, after uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.list.clone()
	next.mark(a.again)
	id, decides, err := a.decisive(c)
	if err != nil {
		return err
	}
	record := &store.Record{}
	if err := a.reseal(ctx, next, record); err != nil {
		return err
	}
	next.Epochs = slices.DeleteFunc(next.Epochs, func(e Epoch) bool { return e.From > after && !e.Again })
	next.begin(Epoch{From: after + 1, ID: id, Hash: c.Hash})
	record.Documents = append(record.Documents, store.Document{Kind: kindConfigs, Name: id, Value: a.seal(decides, kindConfigs+" "+id)})
	var sums []string
	for _, p := range c.Plugins {
		sums = append(sums, p.SHA256)
	}
	slices.Sort(sums)
	next.Configs[id] = entry{Modules: slices.Compact(sums)}
	if err := a.keepModules(ctx, next, c, record); err != nil {
		return err
	}
	if _, err := a.prune(ctx, next, record); err != nil {
		return err
	}
	if err := a.commit(ctx, next, record); err != nil {
		return fmt.Errorf("record the configuration that routes: %w", err)
	}
	a.again = false
	return nil
}

// Prepare stores the modules of c ahead of Begin, which has less to do then.
func (a *Archive) Prepare(ctx context.Context, c *config.Config) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, record := a.list.clone(), &store.Record{}
	if err := a.keepModules(ctx, next, c, record); err != nil {
		return err
	}
	return a.commit(ctx, next, record)
}

// begin adds an epoch, or lets the last one go on that is of the same.
func (l *list) begin(e Epoch) {
	if n := len(l.Epochs); n > 0 {
		last := &l.Epochs[n-1]
		if last.ID == e.ID && (last.Until == 0 || last.Until == e.From-1) {
			last.Until = 0
			return
		}
		if last.Until == 0 {
			last.Until = e.From - 1
		}
	}
	l.Epochs = append(l.Epochs, e)
}

// Close records that nothing is being routed.
func (a *Archive) Close(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.list.clone()
	next.mark(a.again)
	if !Running(next.Epochs) {
		return nil
	}
	last := &next.Epochs[len(next.Epochs)-1]
	// Of one that has routed nothing the end is before its beginning.
	last.Until = a.store.Progress()
	if last.Until < last.From && !last.Again {
		next.Epochs = next.Epochs[:len(next.Epochs)-1]
	}
	record := &store.Record{}
	next.drop(record)
	if err := a.commit(ctx, next, record); err != nil {
		return fmt.Errorf("record that routing has ended: %w", err)
	}
	return nil
}

// Prune deletes what no stored event needs any more, and says how many epochs that
// were.
func (a *Archive) Prune(ctx context.Context) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, record := a.list.clone(), &store.Record{}
	n, err := a.prune(ctx, next, record)
	if err != nil || n == 0 {
		return 0, err
	}
	return n, a.commit(ctx, next, record)
}

// prune takes the epochs out of next that nothing needs, but never the last one or
// what may still be routed by one, and adds to a record what is deleted with them.
func (a *Archive) prune(ctx context.Context, next *list, record *store.Record) (int, error) {
	progress, last, before := a.store.Progress(), a.store.Last(), len(next.Epochs)
	var kept []Epoch
	for i, e := range next.Epochs {
		end := e.End(last)
		needed := i+1 == len(next.Epochs) || end > progress
		if !needed {
			from := e.From
			if e.Again {
				from = 1
			}
			found, err := a.store.Events(ctx, from, 1)
			if err != nil {
				return 0, fmt.Errorf("look for events of an earlier configuration: %w", err)
			}
			needed = len(found) > 0 && found[0].Position <= end
		}
		if needed {
			kept = append(kept, e)
		}
	}
	next.Epochs = kept
	for len(next.Epochs) > 1 && (len(next.Epochs) > maxEpochs || next.size() > a.room) && next.Epochs[0].End(last) <= progress {
		next.Epochs = next.Epochs[1:]
	}
	next.drop(record)
	return before - len(next.Epochs), nil
}

// size is how many bytes of modules the epochs need.
func (l *list) size() int {
	seen, n := map[string]bool{}, 0
	for _, e := range l.Epochs {
		for _, sum := range l.Configs[e.ID].Modules {
			if !seen[sum] {
				seen[sum] = true
				n += l.Modules[sum].Size
			}
		}
	}
	return n
}

// drop deletes the configurations that no epoch names, and the modules that no
// configuration does.
func (l *list) drop(record *store.Record) {
	named, needed := map[string]bool{}, map[string]bool{}
	for _, e := range l.Epochs {
		named[e.ID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(l.Configs)) {
		if !named[id] {
			record.Documents = append(record.Documents, store.Document{Kind: kindConfigs, Name: id})
			delete(l.Configs, id)
			continue
		}
		for _, sum := range l.Configs[id].Modules {
			needed[sum] = true
		}
	}
	for _, sum := range slices.Sorted(maps.Keys(l.Modules)) {
		if needed[sum] {
			continue
		}
		record.Documents = l.Modules[sum].deletion(sum, record.Documents)
		delete(l.Modules, sum)
	}
}

// mark notes of the last epoch that it has routed older events again.
func (l *list) mark(again bool) {
	if n := len(l.Epochs); again && n > 0 {
		l.Epochs[n-1].Again = true
	}
}

func (l *list) clone() *list {
	c := *l
	c.Epochs, c.Configs, c.Modules = slices.Clone(l.Epochs), maps.Clone(l.Configs), maps.Clone(l.Modules)
	if c.Configs == nil {
		c.Configs = map[string]entry{}
	}
	if c.Modules == nil {
		c.Modules = map[string]module{}
	}
	return &c
}

// commit makes next what is kept, with a record.
func (a *Archive) commit(ctx context.Context, next *list, record *store.Record) error {
	b, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the epochs: %w", err)
	}
	record.Documents = append(record.Documents, store.Document{Kind: kindList, Name: listName, Value: b})
	if _, err := a.store.Commit(ctx, record); err != nil {
		return err
	}
	a.list = *next
	return nil
}

// Find gives the id of the configuration of a hash that routed the event at a
// position: that of its epoch, else, for one that routed it again, the newest of
// the hash. The error is ErrLost.
func (a *Archive) Find(position uint64, hash string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := ""
	for _, e := range a.list.Epochs {
		if e.Hash != hash {
			continue
		}
		found = e.ID
		if e.From <= position && position <= e.End(position) {
			return found, nil
		}
	}
	if found == "" {
		return "", ErrLost
	}
	return found, nil
}

// ID is what Find gives of a configuration.
func (a *Archive) ID(c *config.Config) (string, error) {
	id, _, err := a.decisive(c)
	return id, err
}

// decisive gives what of c decides, with the hashes of its secrets, and the id,
// which is the digest of that.
func (a *Archive) decisive(c *config.Config) (id string, b []byte, err error) {
	b, err = c.MarshalRouting(a.salt)
	return digest(b), b, err
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
