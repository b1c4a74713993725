;; refused-no-function: a module with neither weir_filter nor weir_transform is refused.
(module
  (memory (export "memory") 1)
  (func (export "weir_abi_v1")))
