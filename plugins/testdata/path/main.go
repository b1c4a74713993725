// Path is the usual work of a plugin: a filter and a transform by paths.
package main

import weir "github.com/weirhq/weir/sdk/go"

//go:wasmexport weir_filter
func filter() int32 {
	return weir.Filter(func(m *weir.Message) (bool, error) { return m.Int("total") > 100, nil })
}

//go:wasmexport weir_transform
func transform() int32 {
	return weir.Transform(func(m *weir.Message) error { return m.Set("customer.email", "redacted") })
}

func main() {}
