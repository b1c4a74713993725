;; isolation: nothing of one event is visible to the next: neither memory, nor its size, nor globals.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1 20)
  (data (i32.const 0x100) "real")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (global $mark (mut i32) (i32.const 0))
  (global $wide (mut i64) (i64.const 0))
  (global $float (mut f64) (f64.const 0))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; The warm-up leaves no mark, so that every event finds none.
    (if (i32.lt_s (call $get (i32.const 0x100) (i32.const 4) (i32.const 0) (i32.const 0)) (i32.const 0)) (then (return (i32.const 0))))
    ;; 1: a global is as it was
    (call $is (i32.const 1) (global.get $mark) (i32.const 0))
    ;; 2: a global of 64 bits is as it was
    (call $is (i32.const 2) (i64.ne (global.get $wide) (i64.const 0)) (i32.const 0))
    ;; 3: a global that is a float is as it was
    (call $is (i32.const 3) (f64.ne (global.get $float) (f64.const 0)) (i32.const 0))
    ;; 4: the beginning of memory is as it was
    (call $is (i32.const 4) (i32.load (i32.const 0)) (i32.const 0))
    ;; 5: the end of memory is as it was
    (call $is (i32.const 5) (i32.load (i32.const 0xfffc)) (i32.const 0))
    ;; 6: the middle of memory is as it was
    (call $is (i32.const 6) (i32.load (i32.const 0x7ffc)) (i32.const 0))
    ;; 7: memory has its first size
    (call $is (i32.const 7) (memory.size) (i32.const 1))
    (global.set $mark (i32.const 1))
    (global.set $wide (i64.const 1))
    (global.set $float (f64.const 1))
    (i32.store (i32.const 0) (i32.const -1))
    (i32.store (i32.const 0x7ffc) (i32.const -1))
    (i32.store (i32.const 0xfffc) (i32.const -1))
    (if (i32.eq (call $get (i32.const 0x100) (i32.const 4) (i32.const 0) (i32.const 0)) (i32.const 4)) ;; true
      (then (drop (memory.grow (i32.const 3)))))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
