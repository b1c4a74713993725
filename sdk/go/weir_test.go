package weir

import (
	"errors"
	"fmt"
	"testing"
)

func TestTransformResults(t *testing.T) {
	other := errors.New("drop") // the text does not make it Drop
	for name, c := range map[string]struct {
		emitted int
		err     error
		want    int32
	}{
		"as it stands":               {0, nil, 0},
		"drop":                       {0, Drop, 1},
		"wrapped drop":               {0, fmt.Errorf("too small: %w", Drop), 1},
		"joined drop":                {0, errors.Join(Drop, other), 1},
		"emitted":                    {2, nil, 2},
		"emitted, then drop":         {2, Drop, 2},
		"emitted, then wrapped drop": {2, fmt.Errorf("enough: %w", Drop), 2},
		"error":                      {0, other, -1},
		"emitted, then error":        {2, other, -1},
	} {
		got := Transform(func(m *Message) error {
			m.emitted = c.emitted
			return c.err
		})
		if got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}
