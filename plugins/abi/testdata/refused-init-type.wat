;; refused-init-type: weir_init of another type is refused.
(module
  (func (export "weir_init"))
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32) (i32.const 0)))
