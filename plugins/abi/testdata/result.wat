;; result: the numbers that a transform may return: 0 the message as it stands, 1 none, 2 the emitted ones.
;; data is [how often to emit, what to return], and a third element where two texts are to be given to fail.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "weir" "emit" (func $emit (result i32)))
  (import "weir" "fail" (func $fail (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "0")
  (data (i32.const 0x110) "1")
  (data (i32.const 0x120) "first")
  (data (i32.const 0x130) "the last text counts")
  (data (i32.const 0x150) "2")
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32) (local $emits i32) (local $result i32)
    (if (i32.lt_s (call $get (i32.const 0x100) (i32.const 1) (i32.const 0x8000) (i32.const 0x10)) (i32.const 0)) (then (return (i32.const 0)))) ;; the warm-up
    (local.set $emits (i32.sub (i32.load8_u (i32.const 0x8000)) (i32.const 48)))
    (drop (call $get (i32.const 0x110) (i32.const 1) (i32.const 0x8000) (i32.const 0x10)))
    (local.set $result (i32.sub (i32.load8_u (i32.const 0x8000)) (i32.const 48)))
    (if (i32.eq (i32.load8_u (i32.const 0x8000)) (i32.const 45)) ;; "-", and a digit
      (then (local.set $result (i32.sub (i32.const 48) (i32.load8_u (i32.const 0x8001))))))
    (loop $again
      (if (local.get $emits)
        (then
          (drop (call $emit))
          (local.set $emits (i32.sub (local.get $emits) (i32.const 1)))
          (br $again))))
    ;; With a third element, of whatever kind: two texts.
    (if (i32.gt_s (call $get (i32.const 0x150) (i32.const 1) (i32.const 0) (i32.const 0)) (i32.const 0))
      (then
        (call $fail (i32.const 0x120) (i32.const 5))
        (call $fail (i32.const 0x130) (i32.const 20))))
    (local.get $result)))
