;; refused-wasi: an import of WASI preview 1 that it does not have is refused at load, by name.
(module
  (import "wasi_snapshot_preview1" "fetch" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32) (i32.const 0)))
