;; get-malformed: a malformed path is -2.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) ".")
  (data (i32.const 0x110) "a.")
  (data (i32.const 0x120) ".a")
  (data (i32.const 0x130) "a..b")
  (data (i32.const 0x140) "\\")
  (data (i32.const 0x150) "a\\")
  (data (i32.const 0x160) "a\\b")
  (data (i32.const 0x170) "\\a")
  (data (i32.const 0x180) "a.\\n")
  (data (i32.const 0x190) "\ff")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: get "." 0x8000 0x4000 answers -2
    (call $is (i32.const 1) (call $get (i32.const 0x100) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 2: get "a." 0x8000 0x4000 answers -2
    (call $is (i32.const 2) (call $get (i32.const 0x110) (i32.const 2) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 3: get ".a" 0x8000 0x4000 answers -2
    (call $is (i32.const 3) (call $get (i32.const 0x120) (i32.const 2) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 4: get "a..b" 0x8000 0x4000 answers -2
    (call $is (i32.const 4) (call $get (i32.const 0x130) (i32.const 4) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 5: get "\\" 0x8000 0x4000 answers -2
    (call $is (i32.const 5) (call $get (i32.const 0x140) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 6: get "a\\" 0x8000 0x4000 answers -2
    (call $is (i32.const 6) (call $get (i32.const 0x150) (i32.const 2) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 7: get "a\\b" 0x8000 0x4000 answers -2
    (call $is (i32.const 7) (call $get (i32.const 0x160) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 8: get "\\a" 0x8000 0x4000 answers -2
    (call $is (i32.const 8) (call $get (i32.const 0x170) (i32.const 2) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 9: get "a.\\n" 0x8000 0x4000 answers -2
    (call $is (i32.const 9) (call $get (i32.const 0x180) (i32.const 4) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 10: get "\ff" 0x8000 0x4000 answers -2
    (call $is (i32.const 10) (call $get (i32.const 0x190) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
