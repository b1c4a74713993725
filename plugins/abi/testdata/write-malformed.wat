;; write-malformed: data under a JSON content type must be one JSON value; else -2, and nothing has changed.
(module
  (import "weir" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "{")
  (data (i32.const 0x110) "{} {}")
  (data (i32.const 0x120) "nul")
  (data (i32.const 0x130) "\"\ff\"")
  (data (i32.const 0x140) "{\"a\":1}")
  (data (i32.const 0x150) "\ff")
  (data (i32.const 0x160) "a\0ab")
  (data (i32.const 0x170) "test.event")
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
    ;; 1: write 0 "" answers -2
    (call $is (i32.const 1) (call $write (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const -2))
    ;; 2: write 0 "{" answers -2
    (call $is (i32.const 2) (call $write (i32.const 0) (i32.const 0x100) (i32.const 1)) (i32.const -2))
    ;; 3: write 0 "{} {}" answers -2
    (call $is (i32.const 3) (call $write (i32.const 0) (i32.const 0x110) (i32.const 5)) (i32.const -2))
    ;; 4: write 0 "nul" answers -2
    (call $is (i32.const 4) (call $write (i32.const 0) (i32.const 0x120) (i32.const 3)) (i32.const -2))
    ;; 5: write 0 "\"\ff\"" answers -2
    (call $is (i32.const 5) (call $write (i32.const 0) (i32.const 0x130) (i32.const 3)) (i32.const -2))
    ;; 6: read 0 gives {"a":1}
    (call $text (i32.const 6) (call $read (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x140) (i32.const 7))
    ;; 7: write 1 "" answers -2
    (call $is (i32.const 7) (call $write (i32.const 1) (i32.const 0) (i32.const 0)) (i32.const -2))
    ;; 8: write 1 "\ff" answers -2
    (call $is (i32.const 8) (call $write (i32.const 1) (i32.const 0x150) (i32.const 1)) (i32.const -2))
    ;; 9: write 1 "a\0ab" answers -2
    (call $is (i32.const 9) (call $write (i32.const 1) (i32.const 0x160) (i32.const 3)) (i32.const -2))
    ;; 10: read 1 gives test.event
    (call $text (i32.const 10) (call $read (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x170) (i32.const 10))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
