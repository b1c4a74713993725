;; init: weir_init is called once for each instance, after _initialize. It reads the config and logs;
;; there is no event yet, so other reads find nothing and nothing can be changed.
(module
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "weir" "header" (func $header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "weir" "set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove" (func $remove (param i32 i32) (result i32)))
  (import "weir" "set_header" (func $set_header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove_header" (func $remove_header (param i32 i32) (result i32)))
  (import "weir" "emit" (func $emit (result i32)))
  (import "weir" "log" (func $log (param i32 i32 i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "{\"k\":1}")
  (data (i32.const 0x110) "a")
  (data (i32.const 0x120) "x-one")
  (data (i32.const 0x130) "x")
  (data (i32.const 0x140) "1")
  (data (i32.const 0x150) "y")
  (data (i32.const 0x160) "started")
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

  (global $initialized (mut i32) (i32.const 0))
  (global $inits (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $initialized (i32.add (global.get $initialized) (i32.const 1))))

  (func (export "weir_init") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: _initialize has been called, once
    (call $is (i32.const 1) (global.get $initialized) (i32.const 1))
    ;; 2: read 8 gives {"k":1}
    (call $text (i32.const 2) (call $read (i32.const 8) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x100) (i32.const 7))
    ;; 3: read 0 0x8000 0x4000 answers -1
    (call $is (i32.const 3) (call $read (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 4: read 1 0x8000 0x4000 answers -1
    (call $is (i32.const 4) (call $read (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 5: read 2 0x8000 0x4000 answers -1
    (call $is (i32.const 5) (call $read (i32.const 2) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 6: read 3 0x8000 0x4000 answers -1
    (call $is (i32.const 6) (call $read (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 7: read 4 0x8000 0x4000 answers -1
    (call $is (i32.const 7) (call $read (i32.const 4) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 8: read 5 0x8000 0x4000 answers -1
    (call $is (i32.const 8) (call $read (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 9: read 6 0x8000 0x4000 answers -1
    (call $is (i32.const 9) (call $read (i32.const 6) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 10: read 7 0x8000 0x4000 answers -1
    (call $is (i32.const 10) (call $read (i32.const 7) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 11: read 10 0x8000 0x4000 answers -1
    (call $is (i32.const 11) (call $read (i32.const 10) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 12: get "a" 0x8000 0x4000 answers -1
    (call $is (i32.const 12) (call $get (i32.const 0x110) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 13: header "x-one" 0x8000 0x4000 answers -1
    (call $is (i32.const 13) (call $header (i32.const 0x120) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 14: write 1 "x" answers -3
    (call $is (i32.const 14) (call $write (i32.const 1) (i32.const 0x130) (i32.const 1)) (i32.const -3))
    ;; 15: set "a" "1" answers -3
    (call $is (i32.const 15) (call $set (i32.const 0x110) (i32.const 1) (i32.const 0x140) (i32.const 1)) (i32.const -3))
    ;; 16: remove "a" answers -3
    (call $is (i32.const 16) (call $remove (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 17: set_header "x" "y" answers -3
    (call $is (i32.const 17) (call $set_header (i32.const 0x130) (i32.const 1) (i32.const 0x150) (i32.const 1)) (i32.const -3))
    ;; 18: remove_header "x-one" answers -3
    (call $is (i32.const 18) (call $remove_header (i32.const 0x120) (i32.const 5)) (i32.const -3))
    ;; 19: emit answers -3
    (call $is (i32.const 19) (call $emit) (i32.const -3))
    ;; 20: the clock can be read
    (call $is (i32.const 20) (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 0x8000)) (i32.const 0))
    ;; 21: and stands at Unix time 0
    (call $is (i32.const 21) (i64.eqz (i64.load (i32.const 0x8000))) (i32.const 1))
    (call $log (i32.const 3) (i32.const 0x160) (i32.const 7))
    (global.set $inits (i32.add (global.get $inits) (i32.const 1)))
    (select (global.get $failed) (i32.const 0) (global.get $failed)))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; 22: _initialize was called once
    (call $is (i32.const 22) (global.get $initialized) (i32.const 1))
    ;; 23: weir_init was called once
    (call $is (i32.const 23) (global.get $inits) (i32.const 1))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
