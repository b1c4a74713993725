;; remove-value: remove takes away a value: the first, one in the middle, the last, an element of an array.
(module
  (import "weir" "remove" (func $remove (param i32 i32) (result i32)))
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "a")
  (data (i32.const 0x110) "c")
  (data (i32.const 0x120) "e")
  (data (i32.const 0x130) "l.0")
  (data (i32.const 0x140) "l.1")
  (data (i32.const 0x150) "only.x")
  (data (i32.const 0x160) "[2]")
  (data (i32.const 0x170) "l")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  ;; The read has given $len bytes, and they stand in the buffer as they do at $at.
  (func $text (param $step i32) (param $got i32) (param $at i32) (param $len i32)
    (local $n i32)
    (call $is (local.get $step) (local.get $got) (local.get $len))
    (loop $next
      (if (i32.lt_u (local.get $n) (local.get $len))
        (then
          (call $is (local.get $step)
            (i32.load8_u (i32.add (i32.const 0x8000) (local.get $n)))
            (i32.load8_u (i32.add (local.get $at) (local.get $n))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br $next)))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: remove "a" answers 0
    (call $is (i32.const 1) (call $remove (i32.const 0x100) (i32.const 1)) (i32.const 0))
    ;; 2: remove "c" answers 0
    (call $is (i32.const 2) (call $remove (i32.const 0x110) (i32.const 1)) (i32.const 0))
    ;; 3: remove "e" answers 0
    (call $is (i32.const 3) (call $remove (i32.const 0x120) (i32.const 1)) (i32.const 0))
    ;; 4: remove "l.0" answers 0
    (call $is (i32.const 4) (call $remove (i32.const 0x130) (i32.const 3)) (i32.const 0))
    ;; 5: remove "l.1" answers 0
    (call $is (i32.const 5) (call $remove (i32.const 0x140) (i32.const 3)) (i32.const 0))
    ;; 6: remove "only.x" answers 0
    (call $is (i32.const 6) (call $remove (i32.const 0x150) (i32.const 6)) (i32.const 0))
    ;; 7: get "a" 0x8000 0x4000 answers -1
    (call $is (i32.const 7) (call $get (i32.const 0x100) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 8: get "l" gives [2]
    (call $text (i32.const 8) (call $get (i32.const 0x170) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x160) (i32.const 3))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
