package meter

// RewriteForeign is Rewrite for modules that import memories, tables and
// globals, as those of the specification's tests do.
func RewriteForeign(wasm []byte, o Options) (*Module, error) { return rewrite(wasm, o, true) }
