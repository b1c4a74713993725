package badger

import (
	"sync"
	"time"

	"github.com/weirhq/weir/router/store"
)

// How old a sample of free space may be.
const (
	spaceTime  = 250 * time.Millisecond
	spaceBytes = 16 << 20
)

// space remembers the last sample of free space.
type space struct {
	mu      sync.Mutex
	sampled bool
	at      time.Time
	written int64 // since the sample
	full    bool
}

// checkSpace returns ErrFull while there is less free space than MinFree.
func (s *Store) checkSpace() error {
	if s.opts.MinFree <= 0 {
		return nil
	}
	p := &s.space
	p.mu.Lock()
	defer p.mu.Unlock()
	now := s.opts.Now()
	age := now.Sub(p.at)
	if age < 0 { // the clock was set back
		age = -age
	}
	if !p.sampled || age >= spaceTime || p.written >= spaceBytes {
		free, err := s.opts.Free(s.opts.Path)
		if err != nil {
			s.log.Warn("free space is not known", "error", err)
		} else {
			full := free < s.opts.MinFree
			if full != p.full {
				s.log.Warn("free space crossed min_free", "free", free, "min_free", s.opts.MinFree, "refusing_events", full)
			}
			p.full = full
		}
		p.sampled, p.at, p.written = true, now, 0
	}
	if p.full {
		return store.ErrFull
	}
	return nil
}

func (s *Store) wrote(n int64) {
	if s.opts.MinFree <= 0 {
		return
	}
	s.space.mu.Lock()
	s.space.written += n
	s.space.mu.Unlock()
}
