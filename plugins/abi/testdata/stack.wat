;; stack: a function that calls itself without end is stopped.
(module
  (func $deeper (param i32) (result i32) (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32)
    (call $deeper (i32.const 0))))
