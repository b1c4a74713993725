;; get-absent: get answers -1 where there is nothing.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "b")
  (data (i32.const 0x110) "a.c")
  (data (i32.const 0x120) "a.b.2")
  (data (i32.const 0x130) "a.b.0.x")
  (data (i32.const 0x140) "a.b.x")
  (data (i32.const 0x150) "n.x")
  (data (i32.const 0x160) "A")
  (data (i32.const 0x170) "a.b.-1")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: get "b" 0x8000 0x4000 answers -1
    (call $is (i32.const 1) (call $get (i32.const 0x100) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 2: get "a.c" 0x8000 0x4000 answers -1
    (call $is (i32.const 2) (call $get (i32.const 0x110) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 3: get "a.b.2" 0x8000 0x4000 answers -1
    (call $is (i32.const 3) (call $get (i32.const 0x120) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 4: get "a.b.0.x" 0x8000 0x4000 answers -1
    (call $is (i32.const 4) (call $get (i32.const 0x130) (i32.const 7) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 5: get "a.b.x" 0x8000 0x4000 answers -1
    (call $is (i32.const 5) (call $get (i32.const 0x140) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 6: get "n.x" 0x8000 0x4000 answers -1
    (call $is (i32.const 6) (call $get (i32.const 0x150) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 7: get "A" 0x8000 0x4000 answers -1
    (call $is (i32.const 7) (call $get (i32.const 0x160) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 8: get "a.b.-1" 0x8000 0x4000 answers -1
    (call $is (i32.const 8) (call $get (i32.const 0x170) (i32.const 6) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
