;; refused-version-type: weir_abi_v1 of another type is refused.
(module
  (func (export "weir_abi_v1") (result i32) (i32.const 1))
  (memory (export "memory") 1)

  (func (export "weir_transform") (result i32) (i32.const 0)))
