;; read-unknown-field: a field that is none is -2.
(module
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: read 11 0x8000 0x4000 answers -2
    (call $is (i32.const 1) (call $read (i32.const 11) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 2: read 12 0x8000 0x4000 answers -2
    (call $is (i32.const 2) (call $read (i32.const 12) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 3: read -1 0x8000 0x4000 answers -2
    (call $is (i32.const 3) (call $read (i32.const -1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 4: read 0x7fffffff 0x8000 0x4000 answers -2
    (call $is (i32.const 4) (call $read (i32.const 0x7fffffff) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    ;; 5: read -2147483648 0x8000 0x4000 answers -2
    (call $is (i32.const 5) (call $read (i32.const -2147483648) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -2))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
