//go:build tinygo

package weir

// rest does nothing: TinyGo collects while it allocates.
func rest() {}
