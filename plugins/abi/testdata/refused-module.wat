;; refused-module: an import from any module but weir and WASI preview 1 is refused at load, by name.
(module
  (import "env" "abort" (func (param i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32) (i32.const 0)))
