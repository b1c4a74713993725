;; filter-and-transform: a module with both is one plugin: the filter, then the transform where it kept, in one instance.
;; The transform changes what the filter could not.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "weir" "set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "keep")
  (data (i32.const 0x110) "\"and more\"")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (global $seen (mut i32) (i32.const 0))

  (func (export "weir_filter") (result i32)
    (if (i32.lt_s (call $get (i32.const 0x100) (i32.const 4) (i32.const 0x8000) (i32.const 0x10)) (i32.const 0)) (then (return (i32.const 0)))) ;; the warm-up leaves no mark
    (global.set $seen (i32.const 7))
    (i32.store (i32.const 0x9000) (i32.const 42))
    (i32.eq (i32.load8_u (i32.const 0x8000)) (i32.const 0x74))) ;; true

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: the filter ran in this instance
    (call $is (i32.const 1) (global.get $seen) (i32.const 7))
    ;; 2: and left this in memory
    (call $is (i32.const 2) (i32.load (i32.const 0x9000)) (i32.const 42))
    ;; 3: set "keep" "\"and more\"" answers 0
    (call $is (i32.const 3) (call $set (i32.const 0x100) (i32.const 4) (i32.const 0x110) (i32.const 10)) (i32.const 0))
    (global.set $seen (i32.const 0))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
