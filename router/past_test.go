package router

import (
	"context"
	"errors"
	"testing"

	"github.com/weirhq/weir/router/routing"
)

// Who wants a table that is there, or gives up, does not wait for one that is being
// loaded.
func TestPastWaitsForNobodyElse(t *testing.T) {
	p := newPast()
	loaded, freed := 0, 0
	quick := func() (*routing.Table, func(), error) {
		loaded++
		return &routing.Table{}, func() { freed++ }, nil
	}
	if _, done, err := p.use(t.Context(), "there", quick); err != nil {
		t.Fatal(err)
	} else {
		done()
	}
	begun, finish, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		_, _, err := p.use(t.Context(), "slow", func() (*routing.Table, func(), error) {
			close(begun)
			<-finish
			return nil, nil, errors.New("it can't be loaded")
		})
		ended <- err
	}()
	<-begun
	_, done, err := p.use(t.Context(), "there", quick)
	if err != nil || loaded != 1 {
		t.Errorf("%v, loaded %d times", err, loaded)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := p.use(gone, "other", quick); !errors.Is(err, context.Canceled) {
		t.Errorf("one that gave up got %v", err)
	}
	close(finish)
	if err := <-ended; err == nil {
		t.Error("a failure was not told")
	}
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		if _, done, err := p.use(t.Context(), id, quick); err != nil {
			t.Fatal(err)
		} else {
			done()
		}
	}
	if freed == 0 || len(p.list) > keptTables+1 {
		t.Errorf("%d are kept, %d were let go of", len(p.list), freed)
	}
	done()
	p.close()
	if freed != loaded {
		t.Errorf("%d of %d were let go of", freed, loaded)
	}
}
