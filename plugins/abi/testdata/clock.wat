;; clock: the clock stands at the time when the event was received, and so it does for the next event.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: the clock can be read
    (call $is (i32.const 1) (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 0x8000)) (i32.const 0))
    ;; 2: 2024-01-01T12:00:01.5Z, in nanoseconds
    (call $is (i32.const 2) (i64.eq (i64.load (i32.const 0x8000)) (i64.const 1704110401500000000)) (i32.const 1))
    ;; 3: and again
    (call $is (i32.const 3) (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 0x8000)) (i32.const 0))
    ;; 4: it has not moved
    (call $is (i32.const 4) (i64.eq (i64.load (i32.const 0x8000)) (i64.const 1704110401500000000)) (i32.const 1))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
