package router

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/store"
)

// A delivery may be sent before its routing is committed. So that an event whose
// routing a crash has cut off is routed by the same configuration again, what of
// a configuration decides is in the store before it routes the first event.

// Kinds of documents: the list of epochs, what decides in their configurations by
// digest, and modules by digest, in pieces.
const (
	kindEpochs  = "routing.epochs"
	kindConfigs = "routing.config"
	kindModules = "routing.module"
	epochsName  = "all"
)

// modulePiece bounds what of a module is in one document, because the store
// bounds a record.
const modulePiece = 2 << 20

// epoch says which configuration routes the log from a position on, until the
// next epoch. Of epochs that are over only those are kept whose events may not
// be routed yet. After a clean stop there is none.
type epoch struct {
	From   uint64 `json:"from"`
	Config string `json:"config"`
}

func readEpochs(ctx context.Context, st store.Store) ([]epoch, error) {
	b, err := st.Document(ctx, kindEpochs, epochsName)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which configuration routed last: %w", err)
	}
	var list []epoch
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("read which configuration routed last: %w", err)
	}
	return list, nil
}

// resume tells the reader which configurations were routing when the router was
// cut off, and begins the epoch of c.
func (r *Router) resume(ctx context.Context, c *config.Config) error {
	list, err := readEpochs(ctx, r.store)
	if err != nil {
		return err
	}
	progress := r.store.Progress()
	// No event after it can have been decided.
	until := min(r.store.Last(), progress+routing.MaxAhead)
	if len(list) == 0 {
		until = progress // nothing was cut off
	}
	id, _, err := decisive(c)
	if err != nil {
		return err
	}
	var earlier []routing.Earlier
	for i, e := range list {
		end := until
		if i+1 < len(list) {
			end = min(end, list[i+1].From-1)
		}
		if end <= progress || end < e.From || e.Config == id {
			continue
		}
		table, done, err := r.earlierTable(ctx, e.Config)
		if err != nil {
			r.log.Error("events that were being routed when the router was cut off are routed by the new configuration, because the old one cannot be restored; a receiver may get one of them twice, with other bytes",
				"from", max(e.From, progress+1), "to", end, "error", err)
			continue
		}
		from := max(e.From, progress+1)
		r.log.Warn("events that were being routed when the router was cut off are routed by the configuration of that time",
			"from", from, "to", end, "config", table.Hash()[:12])
		earlier = append(earlier, routing.Earlier{Table: table, From: from, Until: end, Done: done})
	}
	if err := r.beginEpoch(ctx, c, until); err != nil {
		for _, e := range earlier {
			e.Done()
		}
		return err
	}
	r.reader.Resume(earlier, until)
	return nil
}

// beginEpoch records that c routes what comes after a position.
func (r *Router) beginEpoch(ctx context.Context, c *config.Config, after uint64) error {
	list, err := readEpochs(ctx, r.store)
	if err != nil {
		return err
	}
	id, decides, err := decisive(c)
	if err != nil {
		return err
	}
	progress := r.store.Progress()
	var kept []epoch
	for i, e := range list {
		over := i+1 < len(list) && list[i+1].From <= progress+1
		if !over && e.From <= after {
			kept = append(kept, e)
		}
	}
	if n := len(kept); n == 0 || kept[n-1].Config != id {
		kept = append(kept, epoch{From: after + 1, Config: id})
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return fmt.Errorf("encode the epochs: %w", err)
	}
	record := &store.Record{Documents: []store.Document{
		{Kind: kindConfigs, Name: id, Value: decides}, {Kind: kindEpochs, Name: epochsName, Value: b},
	}}
	stored, err := r.keepModules(ctx, c)
	if err != nil {
		return err
	}
	if err := r.dropUnneeded(ctx, record, kept, c, stored); err != nil {
		return err
	}
	if _, err := r.store.Commit(ctx, record); err != nil {
		return fmt.Errorf("record the configuration that routes: %w", err)
	}
	return nil
}

// keepModules stores the modules of c that are not stored yet, and gives the
// names of all pieces that are.
func (r *Router) keepModules(ctx context.Context, c *config.Config) (map[string]bool, error) {
	stored := map[string]bool{}
	docs, err := r.store.Documents(ctx, kindModules)
	if err != nil {
		return nil, fmt.Errorf("read the modules: %w", err)
	}
	for _, d := range docs {
		stored[d.Name] = true
	}
	for _, p := range c.Plugins {
		for i, piece := range pieces(p.Wasm) {
			name := pieceName(p.SHA256, i)
			if stored[name] {
				continue
			}
			stored[name] = true
			if _, err := r.store.Commit(ctx, &store.Record{Documents: []store.Document{{Kind: kindModules, Name: name, Value: piece}}}); err != nil {
				return nil, fmt.Errorf("keep the module of plugin %s: %w", p.Name, err)
			}
		}
	}
	return stored, nil
}

// dropUnneeded deletes with a record the configurations that no epoch names, and
// of the stored pieces of modules those that neither they nor c need.
func (r *Router) dropUnneeded(ctx context.Context, record *store.Record, kept []epoch, c *config.Config, stored map[string]bool) error {
	needed, named := map[string]bool{}, map[string]bool{}
	for _, p := range c.Plugins {
		needed[p.SHA256] = true
	}
	for _, e := range kept {
		named[e.Config] = true
	}
	docs, err := r.store.Documents(ctx, kindConfigs)
	if err != nil {
		return fmt.Errorf("read the configurations: %w", err)
	}
	for _, d := range docs {
		if !named[d.Name] {
			record.Documents = append(record.Documents, store.Document{Kind: kindConfigs, Name: d.Name})
			continue
		}
		sums, err := config.RoutingModules(d.Value)
		if err != nil {
			return fmt.Errorf("the configuration %.12s that is kept: %w", d.Name, err)
		}
		for _, sum := range sums {
			needed[sum] = true
		}
	}
	for name := range stored {
		if sum, _, _ := strings.Cut(name, "."); !needed[sum] {
			record.Documents = append(record.Documents, store.Document{Kind: kindModules, Name: name})
		}
	}
	return nil
}

// endEpochs records that nothing is being routed.
func (r *Router) endEpochs(ctx context.Context) error {
	if _, err := r.store.Commit(ctx, &store.Record{Documents: []store.Document{{Kind: kindEpochs, Name: epochsName}}}); err != nil {
		return fmt.Errorf("record that routing has ended: %w", err)
	}
	return nil
}

// earlierTable compiles a configuration that is kept. done frees its plugins.
func (r *Router) earlierTable(ctx context.Context, id string) (t *routing.Table, done func(), err error) {
	b, err := r.store.Document(ctx, kindConfigs, id)
	if err != nil {
		return nil, nil, err
	}
	c, err := config.UnmarshalRouting(b, func(sum string) ([]byte, error) { return r.module(ctx, sum) })
	if err != nil {
		return nil, nil, err
	}
	return r.loadTable(ctx, c)
}

// module gives a module that is kept.
func (r *Router) module(ctx context.Context, sum string) ([]byte, error) {
	var wasm []byte
	for i := 0; ; i++ {
		piece, err := r.store.Document(ctx, kindModules, pieceName(sum, i))
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		wasm = append(wasm, piece...)
	}
	if digest(wasm) != sum {
		return nil, fmt.Errorf("the module %.12s is not kept whole", sum)
	}
	return wasm, nil
}

// decisive gives what of c decides, and its digest.
func decisive(c *config.Config) (id string, b []byte, err error) {
	b, err = c.MarshalRouting()
	return digest(b), b, err
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func pieceName(sum string, i int) string { return fmt.Sprintf("%s.%d", sum, i) }

func pieces(b []byte) [][]byte {
	var out [][]byte
	for len(b) > modulePiece {
		out = append(out, b[:modulePiece])
		b = b[modulePiece:]
	}
	return append(out, b)
}
