;; header-read: headers have names in any case; repeated ones are joined by ", ".
(module
  (import "weir" "header" (func $header (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "1")
  (data (i32.const 0x110) "x-one")
  (data (i32.const 0x120) "X-One")
  (data (i32.const 0x130) "X-ONE")
  (data (i32.const 0x140) "a, b")
  (data (i32.const 0x150) "x-two")
  (data (i32.const 0x160) "x-empty")
  (data (i32.const 0x170) "x-none")
  (data (i32.const 0x180) "a b")
  (data (i32.const 0x190) "a:b")
  (data (i32.const 0x1a0) "a\0a")
  (data (i32.const 0x1b0) "\ff")
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
    ;; 1: header "x-one" gives 1
    (call $text (i32.const 1) (call $header (i32.const 0x110) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x100) (i32.const 1))
    ;; 2: header "X-One" gives 1
    (call $text (i32.const 2) (call $header (i32.const 0x120) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x100) (i32.const 1))
    ;; 3: header "X-ONE" gives 1
    (call $text (i32.const 3) (call $header (i32.const 0x130) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x100) (i32.const 1))
    ;; 4: header "x-two" gives a, b
    (call $text (i32.const 4) (call $header (i32.const 0x150) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x140) (i32.const 4))
    ;; 5: header "x-empty" gives 
    (call $text (i32.const 5) (call $header (i32.const 0x160) (i32.const 7) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x0) (i32.const 0))
    ;; 6: header "x-none" 0x8000 0x4000 answers -1
    (call $is (i32.const 6) (call $header (i32.const 0x170) (i32.const 6) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 7: header "" 0x8000 0x4000 answers -2
    (call $is (i32.const 7) (call $header (i32.const 0) (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 8: header "a b" 0x8000 0x4000 answers -2
    (call $is (i32.const 8) (call $header (i32.const 0x180) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 9: header "a:b" 0x8000 0x4000 answers -2
    (call $is (i32.const 9) (call $header (i32.const 0x190) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 10: header "a\0a" 0x8000 0x4000 answers -2
    (call $is (i32.const 10) (call $header (i32.const 0x1a0) (i32.const 2) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 11: header "\ff" 0x8000 0x4000 answers -2
    (call $is (i32.const 11) (call $header (i32.const 0x1b0) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
