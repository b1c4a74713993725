;; emit-restores: emit copies the message as it stands, then puts it back to what the call was given.
;; What is changed after the last emit is lost.
(module
  (import "weir" "set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "weir" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "weir" "set_header" (func $set_header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove_header" (func $remove_header (param i32 i32) (result i32)))
  (import "weir" "emit" (func $emit (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "weir" "header" (func $header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "a")
  (data (i32.const 0x110) "2")
  (data (i32.const 0x120) "first")
  (data (i32.const 0x130) "s-1")
  (data (i32.const 0x140) "x-one")
  (data (i32.const 0x150) "9")
  (data (i32.const 0x160) "x-two")
  (data (i32.const 0x170) "x-new")
  (data (i32.const 0x180) "n")
  (data (i32.const 0x190) "{\"a\":1}")
  (data (i32.const 0x1a0) "test.event")
  (data (i32.const 0x1b0) "1")
  (data (i32.const 0x1c0) "text/plain")
  (data (i32.const 0x1d0) "two")
  (data (i32.const 0x1e0) "application/json")
  (data (i32.const 0x1f0) "lost")
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
    ;; 1: set "a" "2" answers 0
    (call $is (i32.const 1) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0x110) (i32.const 1)) (i32.const 0))
    ;; 2: write 1 "first" answers 0
    (call $is (i32.const 2) (call $write (i32.const 1) (i32.const 0x120) (i32.const 5)) (i32.const 0))
    ;; 3: write 4 "s-1" answers 0
    (call $is (i32.const 3) (call $write (i32.const 4) (i32.const 0x130) (i32.const 3)) (i32.const 0))
    ;; 4: set_header "x-one" "9" answers 0
    (call $is (i32.const 4) (call $set_header (i32.const 0x140) (i32.const 5) (i32.const 0x150) (i32.const 1)) (i32.const 0))
    ;; 5: remove_header "x-two" answers 0
    (call $is (i32.const 5) (call $remove_header (i32.const 0x160) (i32.const 5)) (i32.const 0))
    ;; 6: set_header "x-new" "n" answers 0
    (call $is (i32.const 6) (call $set_header (i32.const 0x170) (i32.const 5) (i32.const 0x180) (i32.const 1)) (i32.const 0))
    ;; 7: emit answers 0
    (call $is (i32.const 7) (call $emit) (i32.const 0))
    ;; 8: read 0 gives {"a":1}
    (call $text (i32.const 8) (call $read (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x190) (i32.const 7))
    ;; 9: read 1 gives test.event
    (call $text (i32.const 9) (call $read (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x1a0) (i32.const 10))
    ;; 10: read 4 0x8000 0x4000 answers -1
    (call $is (i32.const 10) (call $read (i32.const 4) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 11: header "x-one" gives 1
    (call $text (i32.const 11) (call $header (i32.const 0x140) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x1b0) (i32.const 1))
    ;; 12: header "x-two" gives 2
    (call $text (i32.const 12) (call $header (i32.const 0x160) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x110) (i32.const 1))
    ;; 13: header "x-new" 0x8000 0x4000 answers -1
    (call $is (i32.const 13) (call $header (i32.const 0x170) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 14: write 6 "text/plain" answers 0
    (call $is (i32.const 14) (call $write (i32.const 6) (i32.const 0x1c0) (i32.const 10)) (i32.const 0))
    ;; 15: write 0 "two" answers 0
    (call $is (i32.const 15) (call $write (i32.const 0) (i32.const 0x1d0) (i32.const 3)) (i32.const 0))
    ;; 16: emit answers 0
    (call $is (i32.const 16) (call $emit) (i32.const 0))
    ;; 17: read 6 gives application/json
    (call $text (i32.const 17) (call $read (i32.const 6) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x1e0) (i32.const 16))
    ;; 18: get "a" gives 1
    (call $text (i32.const 18) (call $get (i32.const 0x100) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x1b0) (i32.const 1))
    ;; 19: emit answers 0
    (call $is (i32.const 19) (call $emit) (i32.const 0))
    ;; 20: write 1 "lost" answers 0
    (call $is (i32.const 20) (call $write (i32.const 1) (i32.const 0x1f0) (i32.const 4)) (i32.const 0))
    (select (global.get $failed) (i32.const 2) (global.get $failed))))
