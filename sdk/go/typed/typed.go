// Package typed reads and writes the data of an event as Go values, by
// encoding/json:
//
//	order, err := typed.Get[Order](m, "")
//	address, err := typed.Get[Address](m, "customer.address")
//	err = typed.Set(m, "customer.address", address)
//
// It is pleasant and it costs: decoding an event of 1 KiB in the guest takes about
// a hundred microseconds where m.Get takes one, and a plugin that imports this
// package is about 1 MB larger. So decode the part that you need, not all of it.
// Setting a value writes that part anew, as encoding/json does: keys that the
// struct doesn't have are gone from it, and numbers are printed in Go's form.
package typed

import (
	"encoding/json"
	"errors"
	"fmt"

	weir "github.com/weirhq/weir/sdk/go"
)

// ErrMissing is a path that leads to nothing.
var ErrMissing = errors.New("there is no such value")

// Get decodes the value at a path of data, all of it for "". The error wraps
// [ErrMissing] where there is none, and else says what doesn't fit.
func Get[T any](m *weir.Message, path string) (T, error) { return Value[T](path, m.Get(path)) }

// Config decodes the plugin's config. One that is unset gives the zero value.
func Config[T any]() (T, error) { return Value[T]("config", weir.Config()) }

// Value decodes a value. The name is for the error.
func Value[T any](name string, v weir.Value) (T, error) {
	var into T
	if name == "" {
		name = "data"
	}
	if !v.Exists() {
		return into, fmt.Errorf("%s: %w", name, ErrMissing)
	}
	if err := json.Unmarshal(v, &into); err != nil {
		return into, fmt.Errorf("%s: %w", name, err)
	}
	return into, nil
}

// Set encodes a value and puts it at a path of data. The error wraps one of
// package weir, or says why JSON can't hold the value.
func Set(m *weir.Message, path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("set %q: %w", path, err)
	}
	if err := m.Set(path, weir.Value(text)); err != nil {
		return fmt.Errorf("set %q: %w", path, err)
	}
	return nil
}
