;; set-malformed: set answers -2 to a path or a value that is malformed, and changes nothing.
(module
  (import "weir" "set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "a")
  (data (i32.const 0x110) "{")
  (data (i32.const 0x120) "1 2")
  (data (i32.const 0x130) "tru")
  (data (i32.const 0x140) "\"a")
  (data (i32.const 0x150) "{\"a\":}")
  (data (i32.const 0x160) "\"\ff")
  (data (i32.const 0x170) "01")
  (data (i32.const 0x180) "'a'")
  (data (i32.const 0x190) "a..b")
  (data (i32.const 0x1a0) "1")
  (data (i32.const 0x1b0) "a.")
  (data (i32.const 0x1c0) "\\")
  (data (i32.const 0x1d0) "a\\b")
  (data (i32.const 0x1e0) "\ff")
  (data (i32.const 0x1f0) "{\"a\":1}")
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
    ;; 1: set "a" "" answers -2
    (call $is (i32.const 1) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0) (i32.const 0)) (i32.const -2))
    ;; 2: set "a" "{" answers -2
    (call $is (i32.const 2) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0x110) (i32.const 1)) (i32.const -2))
    ;; 3: set "a" "1 2" answers -2
    (call $is (i32.const 3) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0x120) (i32.const 3)) (i32.const -2))
    ;; 4: set "a" "tru" answers -2
    (call $is (i32.const 4) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0x130) (i32.const 3)) (i32.const -2))
    ;; 5: set "a" "\"a" answers -2
    (call $is (i32.const 5) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0x140) (i32.const 2)) (i32.const -2))
    ;; 6: set "a" "{\"a\":}" answers -2
    (call $is (i32.const 6) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0x150) (i32.const 6)) (i32.const -2))
    ;; 7: set "a" "\"\ff" answers -2
    (call $is (i32.const 7) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0x160) (i32.const 2)) (i32.const -2))
    ;; 8: set "a" "01" answers -2
    (call $is (i32.const 8) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0x170) (i32.const 2)) (i32.const -2))
    ;; 9: set "a" "'a'" answers -2
    (call $is (i32.const 9) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0x180) (i32.const 3)) (i32.const -2))
    ;; 10: set "a..b" "1" answers -2
    (call $is (i32.const 10) (call $set (i32.const 0x190) (i32.const 4) (i32.const 0x1a0) (i32.const 1)) (i32.const -2))
    ;; 11: set "a." "1" answers -2
    (call $is (i32.const 11) (call $set (i32.const 0x1b0) (i32.const 2) (i32.const 0x1a0) (i32.const 1)) (i32.const -2))
    ;; 12: set "\\" "1" answers -2
    (call $is (i32.const 12) (call $set (i32.const 0x1c0) (i32.const 1) (i32.const 0x1a0) (i32.const 1)) (i32.const -2))
    ;; 13: set "a\\b" "1" answers -2
    (call $is (i32.const 13) (call $set (i32.const 0x1d0) (i32.const 3) (i32.const 0x1a0) (i32.const 1)) (i32.const -2))
    ;; 14: set "\ff" "1" answers -2
    (call $is (i32.const 14) (call $set (i32.const 0x1e0) (i32.const 1) (i32.const 0x1a0) (i32.const 1)) (i32.const -2))
    ;; 15: read 0 gives {"a":1}
    (call $text (i32.const 15) (call $read (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x1f0) (i32.const 7))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
