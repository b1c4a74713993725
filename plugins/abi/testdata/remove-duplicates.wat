;; remove-duplicates: remove takes away all duplicates of a key.
(module
  (import "weir" "remove" (func $remove (param i32 i32) (result i32)))
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "a")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: remove "a" answers 0
    (call $is (i32.const 1) (call $remove (i32.const 0x100) (i32.const 1)) (i32.const 0))
    ;; 2: get "a" 0x8000 0x4000 answers -1
    (call $is (i32.const 2) (call $get (i32.const 0x100) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 3: remove "a" answers -1
    (call $is (i32.const 3) (call $remove (i32.const 0x100) (i32.const 1)) (i32.const -1))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
