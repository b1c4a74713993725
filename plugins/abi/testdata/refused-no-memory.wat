;; refused-no-memory: a module that does not export its memory is refused.
(module
  (memory 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32) (i32.const 0)))
