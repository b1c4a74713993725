package archive

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/store"
)

// How a document begins: what follows is deflated (RFC 1951), and sealed or not.
const (
	inClear = 'c'
	sealed  = 's'
)

// seal compresses and encrypts. What is encrypted does not get smaller, so the
// store could not do it.
func (a *Archive) seal(b []byte, owner string) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestSpeed) // the level is one
	_, _ = w.Write(b)                              // a buffer takes all
	_ = w.Close()
	if a.keys == nil {
		return append([]byte{inClear}, out.Bytes()...)
	}
	return append([]byte{sealed}, a.keys.SealBytes(out.Bytes(), owner)...)
}

// open gives what seal was given.
func (a *Archive) open(b []byte, owner string) ([]byte, error) {
	if len(b) == 0 {
		return nil, errors.New("what is kept is empty")
	}
	kind, b := b[0], b[1:]
	switch {
	case kind == inClear:
	case kind != sealed:
		return nil, errors.New("what is kept is of no known form")
	case a.keys == nil:
		return nil, errors.New("what is kept is encrypted, and there is no key")
	default:
		var err error
		if b, err = a.keys.OpenBytes(b, owner); err != nil {
			return nil, err
		}
	}
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), maxModule))
	if err != nil {
		return nil, fmt.Errorf("what is kept does not decompress: %w", err)
	}
	return out, nil
}

// key is the id of the key that seals, empty where there is none.
func (a *Archive) key() string {
	if a.keys == nil {
		return ""
	}
	return a.keys.ID()
}

func (m module) piece(sum string, i int) string { return fmt.Sprintf("%s.%s.%d", sum, m.Key, i) }

// deletion adds the documents that delete a module.
func (m module) deletion(sum string, to []store.Document) []store.Document {
	for i := range m.Pieces {
		to = append(to, store.Document{Kind: kindModules, Name: m.piece(sum, i)})
	}
	return to
}

// keepModule stores a module, unless it is stored. Before the last piece is on disk
// the list says that it may not be whole.
func (a *Archive) keepModule(ctx context.Context, next *list, sum string, wasm []byte) error {
	if m := next.Modules[sum]; m.Whole && m.Key == a.key() {
		return nil
	}
	b := a.seal(wasm, kindModules+" "+sum)
	m := module{Key: a.key(), Pieces: (len(b) + modulePiece - 1) / modulePiece, Size: len(b)}
	// One that is whole with another key stays readable until this one is.
	if !next.Modules[sum].Whole {
		begun := a.list.clone()
		begun.Modules[sum] = m
		if err := a.commit(ctx, begun, &store.Record{}); err != nil {
			return fmt.Errorf("keep the module %.12s: %w", sum, err)
		}
	}
	for i, piece := range slices.Collect(slices.Chunk(b, modulePiece)) {
		record := &store.Record{Documents: []store.Document{{Kind: kindModules, Name: m.piece(sum, i), Value: piece}}}
		if _, err := a.store.Commit(ctx, record); err != nil {
			return fmt.Errorf("keep the module %.12s: %w", sum, err)
		}
	}
	m.Whole = true
	next.Modules[sum] = m
	return nil
}

// keepModules stores the modules of c, and adds to a record what that replaces.
func (a *Archive) keepModules(ctx context.Context, next *list, c *config.Config, record *store.Record) error {
	for _, p := range c.Plugins {
		was := next.Modules[p.SHA256]
		if err := a.keepModule(ctx, next, p.SHA256, p.Wasm); err != nil {
			return fmt.Errorf("plugin %s: %w", p.Name, err)
		}
		if was.Key != next.Modules[p.SHA256].Key { // it can't be opened with the key of now
			record.Documents = was.deletion(p.SHA256, record.Documents)
		}
	}
	return nil
}

// module gives a module that is kept.
func (a *Archive) module(ctx context.Context, sum string, m module) ([]byte, error) {
	sealed, err := a.sealedModule(ctx, sum, m)
	if err != nil {
		return nil, err
	}
	return a.openModule(sum, sealed)
}

// sealedModule reads the pieces of a module. The error is ErrLost where they are not
// all there.
func (a *Archive) sealedModule(ctx context.Context, sum string, m module) ([]byte, error) {
	var all []byte
	for i := range m.Pieces {
		piece, err := a.store.Document(ctx, kindModules, m.piece(sum, i))
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		all = append(all, piece...)
	}
	if len(all) != m.Size || m.Pieces == 0 {
		return nil, fmt.Errorf("the module %.12s is not kept whole: %w", sum, ErrLost)
	}
	return all, nil
}

func (a *Archive) openModule(sum string, sealed []byte) ([]byte, error) {
	wasm, err := a.open(sealed, kindModules+" "+sum)
	if err != nil {
		return nil, fmt.Errorf("the module %.12s: %w", sum, err)
	}
	if digest(wasm) != sum {
		return nil, fmt.Errorf("the module %.12s is not what was kept", sum)
	}
	return wasm, nil
}

// Config gives a configuration that is kept: what of it decides.
func (a *Archive) Config(ctx context.Context, id string) (*config.Config, error) {
	b, err := a.document(ctx, id)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	modules := maps.Clone(a.list.Modules)
	a.mu.Unlock()
	return config.UnmarshalRouting(b, func(sum string) ([]byte, error) { return a.module(ctx, sum, modules[sum]) })
}

// ChangedSecrets names the destinations that c has and whose secrets are others
// than they were in a configuration that is kept.
func (a *Archive) ChangedSecrets(ctx context.Context, id string, c *config.Config) ([]string, error) {
	b, err := a.document(ctx, id)
	if err != nil {
		return nil, err
	}
	was, err := config.RoutingSecrets(b)
	if err != nil {
		return nil, err
	}
	var changed []string
	for name, now := range c.SecretHashes(a.salt) {
		if before, ok := was[name]; ok && before != now {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed, nil
}

func (a *Archive) document(ctx context.Context, id string) ([]byte, error) {
	b, err := a.store.Document(ctx, kindConfigs, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrLost
	}
	if err != nil {
		return nil, err
	}
	if b, err = a.open(b, kindConfigs+" "+id); err != nil {
		return nil, fmt.Errorf("the configuration that is kept as %.12s: %w", id, err)
	}
	return b, nil
}

// reseal encrypts with the key of now what was kept with another, or without one,
// and adds to a record what that replaces. What can't be opened is left as it is:
// its key may come back.
func (a *Archive) reseal(ctx context.Context, next *list, record *store.Record) error {
	if next.Key == a.key() {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(next.Configs)) {
		owner := kindConfigs + " " + id
		b, err := a.store.Document(ctx, kindConfigs, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("encrypt what is kept anew: %w", err)
		}
		if b, err = a.open(b, owner); err == nil {
			record.Documents = append(record.Documents, store.Document{Kind: kindConfigs, Name: id, Value: a.seal(b, owner)})
		}
	}
	for _, sum := range slices.Sorted(maps.Keys(next.Modules)) {
		was := next.Modules[sum]
		if was.Key == a.key() { // begun with this key before a crash: there is nothing to replace
			continue
		}
		sealed, err := a.sealedModule(ctx, sum, was)
		if errors.Is(err, ErrLost) {
			continue
		}
		if err != nil {
			return fmt.Errorf("encrypt what is kept anew: %w", err)
		}
		wasm, err := a.openModule(sum, sealed)
		if err != nil {
			continue
		}
		if err := a.keepModule(ctx, next, sum, wasm); err != nil {
			return err
		}
		record.Documents = was.deletion(sum, record.Documents)
	}
	next.Key = a.key()
	return nil
}
