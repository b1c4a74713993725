;; refused-type: an import of weir with another type is refused at load, by name.
(module
  (import "weir" "read" (func (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32) (i32.const 0)))
