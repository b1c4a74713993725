;; refused-filter-type: weir_filter of another type is refused.
(module
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_filter") (result i64) (i64.const 1)))
