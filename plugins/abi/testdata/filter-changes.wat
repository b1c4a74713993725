;; filter-changes: in a filter every changing import answers -3 and changes nothing; reads work.
(module
  (import "weir" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "weir" "set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove" (func $remove (param i32 i32) (result i32)))
  (import "weir" "set_header" (func $set_header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove_header" (func $remove_header (param i32 i32) (result i32)))
  (import "weir" "emit" (func $emit (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "weir" "header" (func $header (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "[]")
  (data (i32.const 0x110) "x")
  (data (i32.const 0x120) "a")
  (data (i32.const 0x130) "2")
  (data (i32.const 0x140) "x-one")
  (data (i32.const 0x150) "{\"a\":1}")
  (data (i32.const 0x160) "test.event")
  (data (i32.const 0x170) "1")
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

  (func (export "weir_filter") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: write 0 "[]" answers -3
    (call $is (i32.const 1) (call $write (i32.const 0) (i32.const 0x100) (i32.const 2)) (i32.const -3))
    ;; 2: write 1 "x" answers -3
    (call $is (i32.const 2) (call $write (i32.const 1) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 3: set "a" "2" answers -3
    (call $is (i32.const 3) (call $set (i32.const 0x120) (i32.const 1) (i32.const 0x130) (i32.const 1)) (i32.const -3))
    ;; 4: remove "a" answers -3
    (call $is (i32.const 4) (call $remove (i32.const 0x120) (i32.const 1)) (i32.const -3))
    ;; 5: set_header "x-one" "2" answers -3
    (call $is (i32.const 5) (call $set_header (i32.const 0x140) (i32.const 5) (i32.const 0x130) (i32.const 1)) (i32.const -3))
    ;; 6: remove_header "x-one" answers -3
    (call $is (i32.const 6) (call $remove_header (i32.const 0x140) (i32.const 5)) (i32.const -3))
    ;; 7: emit answers -3
    (call $is (i32.const 7) (call $emit) (i32.const -3))
    ;; 8: read 0 gives {"a":1}
    (call $text (i32.const 8) (call $read (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x150) (i32.const 7))
    ;; 9: read 1 gives test.event
    (call $text (i32.const 9) (call $read (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x160) (i32.const 10))
    ;; 10: get "a" gives 1
    (call $text (i32.const 10) (call $get (i32.const 0x120) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x170) (i32.const 1))
    ;; 11: header "x-one" gives 1
    (call $text (i32.const 11) (call $header (i32.const 0x140) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x170) (i32.const 1))
    (select (global.get $failed) (i32.const 1) (global.get $failed))))
