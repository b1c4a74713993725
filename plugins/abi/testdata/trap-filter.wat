;; trap-filter: a filter that traps is an error; the transform is not called.
(module
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_filter") (result i32)
    (unreachable))

  (func (export "weir_transform") (result i32)
    (i32.const 0)))
