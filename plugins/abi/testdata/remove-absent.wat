;; remove-absent: remove answers -1 where there is nothing, -2 to a malformed path, and changes nothing.
(module
  (import "weir" "remove" (func $remove (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "b")
  (data (i32.const 0x110) "a.x")
  (data (i32.const 0x120) "l.2")
  (data (i32.const 0x130) "l.x")
  (data (i32.const 0x140) "l.0.x")
  (data (i32.const 0x150) "a..b")
  (data (i32.const 0x160) ".")
  (data (i32.const 0x170) "\\")
  (data (i32.const 0x180) "\ff")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: remove "b" answers -1
    (call $is (i32.const 1) (call $remove (i32.const 0x100) (i32.const 1)) (i32.const -1))
    ;; 2: remove "a.x" answers -1
    (call $is (i32.const 2) (call $remove (i32.const 0x110) (i32.const 3)) (i32.const -1))
    ;; 3: remove "l.2" answers -1
    (call $is (i32.const 3) (call $remove (i32.const 0x120) (i32.const 3)) (i32.const -1))
    ;; 4: remove "l.x" answers -1
    (call $is (i32.const 4) (call $remove (i32.const 0x130) (i32.const 3)) (i32.const -1))
    ;; 5: remove "l.0.x" answers -1
    (call $is (i32.const 5) (call $remove (i32.const 0x140) (i32.const 5)) (i32.const -1))
    ;; 6: remove "a..b" answers -2
    (call $is (i32.const 6) (call $remove (i32.const 0x150) (i32.const 4)) (i32.const -2))
    ;; 7: remove "." answers -2
    (call $is (i32.const 7) (call $remove (i32.const 0x160) (i32.const 1)) (i32.const -2))
    ;; 8: remove "\\" answers -2
    (call $is (i32.const 8) (call $remove (i32.const 0x170) (i32.const 1)) (i32.const -2))
    ;; 9: remove "\ff" answers -2
    (call $is (i32.const 9) (call $remove (i32.const 0x180) (i32.const 1)) (i32.const -2))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
