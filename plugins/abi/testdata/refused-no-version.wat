;; refused-no-version: a module that does not export weir_abi_v1 is refused.
(module
  (memory (export "memory") 1)

  (func (export "weir_transform") (result i32) (i32.const 0)))
