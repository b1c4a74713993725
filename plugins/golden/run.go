package golden

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/weirhq/weir/plugins"
)

// Runner runs cases on one module. Plugins are loaded once for each config that
// the cases have. It is not safe for concurrent use.
type Runner struct {
	host   *plugins.Host
	spec   plugins.Spec
	loaded map[string]loaded
}

type loaded struct {
	plugin *plugins.Plugin
	failed Outcome // where the plugin does not start
}

// NewRunner runs cases on what the spec says, but for the config, which each case
// has. The plugins are the host's: whoever closes it closes them.
func NewRunner(h *plugins.Host, s plugins.Spec) *Runner {
	return &Runner{host: h, spec: s, loaded: map[string]loaded{}}
}

// Run gives a case's event to the plugin. A plugin that refuses its config is an
// outcome as well; an error is that the case could not be run.
func (r *Runner) Run(ctx context.Context, c *Case) (Outcome, error) {
	l, ok := r.loaded[string(c.Config)]
	if !ok {
		s := r.spec
		s.Config = c.Config
		p, err := r.host.Load(ctx, s)
		if err != nil {
			o, err := OutcomeOf(nil, err)
			if err != nil {
				return Outcome{}, err
			}
			l.failed = o
		}
		l.plugin = p
		r.loaded[string(c.Config)] = l
	}
	if l.plugin == nil {
		return l.failed, nil
	}
	return OutcomeOf(l.plugin.Run(ctx, c.Event, c.Route))
}

// ErrImpure is a plugin that answered the same event in two ways.
var ErrImpure = errors.New("the plugin is not pure")

// Repeat runs all cases n times more, in another order each time, and returns an
// error that wraps [ErrImpure] where an outcome differs from the first in any
// byte. outcomes are the first ones. step is told of each run.
func (r *Runner) Repeat(ctx context.Context, cases []*Case, outcomes []Outcome, n int, step func()) error {
	order := make([]int, 0, n*len(cases))
	for range n {
		for i := range cases {
			order = append(order, i)
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	first := make([][]byte, len(cases))
	for i := range cases {
		first[i] = outcomes[i].Bytes()
	}
	for _, i := range order {
		o, err := r.Run(ctx, cases[i])
		if err != nil {
			return fmt.Errorf("%s: %w", cases[i].Name, err)
		}
		if again := o.Bytes(); !bytes.Equal(first[i], again) {
			return fmt.Errorf("%w: %s gave\n%s\nand, the same event again,\n%s", ErrImpure, cases[i].Name, first[i], again)
		}
		step()
	}
	return nil
}
