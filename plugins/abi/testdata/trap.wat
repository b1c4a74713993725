;; trap: a trap discards the instance and is an error of that event alone.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "trap")
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32)
    (if (i32.eq (call $get (i32.const 0x100) (i32.const 4) (i32.const 0) (i32.const 0)) (i32.const 4)) (then unreachable)) ;; true
    (i32.const 0)))
