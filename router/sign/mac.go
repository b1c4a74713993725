package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// macs are states of HMAC-SHA256 under one key. Setting a state up hashes the
// key twice, so states are used again.
type macs struct {
	key  []byte
	idle sync.Pool // of *mac
}

// mac is one computation. Its slice is its own, to allocate none each time.
type mac struct {
	hash hash.Hash
	sum  []byte
}

func (m *macs) take() *mac {
	if c, ok := m.idle.Get().(*mac); ok {
		return c
	}
	return &mac{hash: hmac.New(sha256.New, m.key)}
}

func (m *macs) give(c *mac) {
	c.hash.Reset()
	m.idle.Put(c)
}

// end returns the sum, which holds until the next use.
func (m *mac) end() []byte {
	m.sum = m.hash.Sum(m.sum[:0])
	return m.sum
}
