;; memory-cap: memory is capped: memory.grow answers -1 beyond it and changes nothing, and works up to it.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "real")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; The warm-up leaves memory as it is.
    (if (i32.lt_s (call $get (i32.const 0x100) (i32.const 4) (i32.const 0) (i32.const 0)) (i32.const 0)) (then (return (i32.const 0))))
    ;; 1: the cap is 16 pages
    (call $is (i32.const 1) (memory.grow (i32.const 16)) (i32.const -1))
    ;; 2: nothing has changed
    (call $is (i32.const 2) (memory.size) (i32.const 1))
    ;; 3: up to it
    (call $is (i32.const 3) (memory.grow (i32.const 15)) (i32.const 1))
    ;; 4: there they are
    (call $is (i32.const 4) (memory.size) (i32.const 16))
    ;; 5: and no more
    (call $is (i32.const 5) (memory.grow (i32.const 1)) (i32.const -1))
    (i32.store (i32.const 0xffffc) (i32.const 1))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
