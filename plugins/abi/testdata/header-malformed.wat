;; header-malformed: a malformed name or value of a header is -2, and nothing has changed.
(module
  (import "weir" "set_header" (func $set_header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove_header" (func $remove_header (param i32 i32) (result i32)))
  (import "weir" "header" (func $header (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "v")
  (data (i32.const 0x110) "a b")
  (data (i32.const 0x120) "a:b")
  (data (i32.const 0x130) "\ff")
  (data (i32.const 0x140) "x-one")
  (data (i32.const 0x150) "a\0d\0ab: c")
  (data (i32.const 0x160) "a\0ab")
  (data (i32.const 0x170) "a\00b")
  (data (i32.const 0x180) "1")
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
    ;; 1: set_header "" "v" answers -2
    (call $is (i32.const 1) (call $set_header (i32.const 0) (i32.const 0) (i32.const 0x100) (i32.const 1)) (i32.const -2))
    ;; 2: remove_header "" answers -2
    (call $is (i32.const 2) (call $remove_header (i32.const 0) (i32.const 0)) (i32.const -2))
    ;; 3: set_header "a b" "v" answers -2
    (call $is (i32.const 3) (call $set_header (i32.const 0x110) (i32.const 3) (i32.const 0x100) (i32.const 1)) (i32.const -2))
    ;; 4: remove_header "a b" answers -2
    (call $is (i32.const 4) (call $remove_header (i32.const 0x110) (i32.const 3)) (i32.const -2))
    ;; 5: set_header "a:b" "v" answers -2
    (call $is (i32.const 5) (call $set_header (i32.const 0x120) (i32.const 3) (i32.const 0x100) (i32.const 1)) (i32.const -2))
    ;; 6: remove_header "a:b" answers -2
    (call $is (i32.const 6) (call $remove_header (i32.const 0x120) (i32.const 3)) (i32.const -2))
    ;; 7: set_header "\ff" "v" answers -2
    (call $is (i32.const 7) (call $set_header (i32.const 0x130) (i32.const 1) (i32.const 0x100) (i32.const 1)) (i32.const -2))
    ;; 8: remove_header "\ff" answers -2
    (call $is (i32.const 8) (call $remove_header (i32.const 0x130) (i32.const 1)) (i32.const -2))
    ;; 9: set_header "x-one" "a\0d\0ab: c" answers -2
    (call $is (i32.const 9) (call $set_header (i32.const 0x140) (i32.const 5) (i32.const 0x150) (i32.const 7)) (i32.const -2))
    ;; 10: set_header "x-one" "a\0ab" answers -2
    (call $is (i32.const 10) (call $set_header (i32.const 0x140) (i32.const 5) (i32.const 0x160) (i32.const 3)) (i32.const -2))
    ;; 11: set_header "x-one" "a\00b" answers -2
    (call $is (i32.const 11) (call $set_header (i32.const 0x140) (i32.const 5) (i32.const 0x170) (i32.const 3)) (i32.const -2))
    ;; 12: header "x-one" gives 1
    (call $text (i32.const 12) (call $header (i32.const 0x140) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x180) (i32.const 1))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
