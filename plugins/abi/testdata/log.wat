;; log: log takes levels 1 trace to 5 error; the text of a call that went well is not lost.
(module
  (import "weir" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "one")
  (data (i32.const 0x110) "two")
  (data (i32.const 0x120) "three")
  (data (i32.const 0x130) "four")
  (data (i32.const 0x140) "f\c3\bcnf")
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32)
    (call $log (i32.const 1) (i32.const 0x100) (i32.const 3))
    (call $log (i32.const 2) (i32.const 0x110) (i32.const 3))
    (call $log (i32.const 3) (i32.const 0x120) (i32.const 5))
    (call $log (i32.const 4) (i32.const 0x130) (i32.const 4))
    (call $log (i32.const 5) (i32.const 0x140) (i32.const 5))
    (call $log (i32.const 3) (i32.const 0) (i32.const 0))
    (i32.const 0)))
