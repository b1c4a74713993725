;; refused-transform-type: weir_transform of another type is refused.
(module
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (param i32) (result i32) (local.get 0)))
