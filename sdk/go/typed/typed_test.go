package typed

import (
	"errors"
	"math"
	"strings"
	"testing"

	weir "github.com/weirhq/weir/sdk/go"
)

type address struct {
	Street string
	Number int
}

func TestValue(t *testing.T) {
	got, err := Value[address]("address", weir.Value(`{"street": "Elm", "number": 7, "more": 1}`))
	if err != nil || got != (address{"Elm", 7}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := Value[address]("address", weir.Value(`{"number": "7"}`)); err == nil || !strings.Contains(err.Error(), "address: ") || !strings.Contains(strings.ToLower(err.Error()), "number") {
		t.Errorf("got %v, want the place of what doesn't fit", err)
	}
	if _, err := Value[address]("", nil); !errors.Is(err, ErrMissing) || !strings.HasPrefix(err.Error(), "data: ") {
		t.Errorf("got %v", err)
	}
}

// Without a host nothing is there and nothing can be changed.
func TestWithoutHost(t *testing.T) {
	m := &weir.Message{}
	if _, err := Get[int](m, "n"); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v", err)
	}
	if _, err := Config[int](); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v", err)
	}
	if err := Set(m, "n", 1); !errors.Is(err, weir.ErrNotAllowed) {
		t.Errorf("got %v", err)
	}
	if err := Set(m, "n", math.NaN()); err == nil || !strings.Contains(err.Error(), `set "n"`) {
		t.Errorf("got %v", err)
	}
}
