;; refused-name: an import of weir that ABI version 1 does not have is refused at load, by name.
(module
  (import "weir" "send" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32) (i32.const 0)))
