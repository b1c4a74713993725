package config

import "fmt"

// Secret is a value that must not be shown. Everything that prints or marshals
// it gives "***"; only Reveal gives the value.
type Secret string

const masked = "***"

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// String masks the value.
func (s Secret) String() string { return masked }

// GoString masks the value.
func (s Secret) GoString() string { return masked }

// Format masks the value for every verb, %x and %q too.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// MarshalText masks the value, in JSON too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// MarshalJSON masks the value.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + masked + `"`), nil }
