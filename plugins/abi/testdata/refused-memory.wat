;; refused-memory: memory is exported, not imported.
(module
  (import "env" "memory" (memory 1))
  (export "memory" (memory 0))
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32) (i32.const 0)))
