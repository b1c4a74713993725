;; header-change: set_header and remove_header see names in any case, and reads see the change.
;; What was set reaches the destination.
(module
  (import "weir" "set_header" (func $set_header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "header" (func $header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove_header" (func $remove_header (param i32 i32) (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "X-New")
  (data (i32.const 0x110) "v")
  (data (i32.const 0x120) "x-new")
  (data (i32.const 0x130) "x-NEW")
  (data (i32.const 0x140) "w")
  (data (i32.const 0x150) "x-one")
  (data (i32.const 0x160) "hidden")
  (data (i32.const 0x170) "X-One")
  (data (i32.const 0x180) "X-Two")
  (data (i32.const 0x190) "x-two")
  (data (i32.const 0x1a0) "x-gone")
  (data (i32.const 0x1b0) "1")
  (data (i32.const 0x1c0) "{\"id\":\"evt_1\",\"type\":\"test.event\",\"source\":\"events\",\"time\":\"2024-01-01T12:00:00Z\",\"header\":{\"x-one\":\"hidden\",\"x-new\":\"w\"},\"data\":{}}")
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
    ;; 1: set_header "X-New" "v" answers 0
    (call $is (i32.const 1) (call $set_header (i32.const 0x100) (i32.const 5) (i32.const 0x110) (i32.const 1)) (i32.const 0))
    ;; 2: header "x-new" gives v
    (call $text (i32.const 2) (call $header (i32.const 0x120) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x110) (i32.const 1))
    ;; 3: set_header "x-NEW" "w" answers 0
    (call $is (i32.const 3) (call $set_header (i32.const 0x130) (i32.const 5) (i32.const 0x140) (i32.const 1)) (i32.const 0))
    ;; 4: header "x-new" gives w
    (call $text (i32.const 4) (call $header (i32.const 0x120) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x140) (i32.const 1))
    ;; 5: set_header "x-one" "hidden" answers 0
    (call $is (i32.const 5) (call $set_header (i32.const 0x150) (i32.const 5) (i32.const 0x160) (i32.const 6)) (i32.const 0))
    ;; 6: header "X-One" gives hidden
    (call $text (i32.const 6) (call $header (i32.const 0x170) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x160) (i32.const 6))
    ;; 7: remove_header "X-Two" answers 0
    (call $is (i32.const 7) (call $remove_header (i32.const 0x180) (i32.const 5)) (i32.const 0))
    ;; 8: header "x-two" 0x8000 0x4000 answers -1
    (call $is (i32.const 8) (call $header (i32.const 0x190) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 9: remove_header "x-two" answers -1
    (call $is (i32.const 9) (call $remove_header (i32.const 0x190) (i32.const 5)) (i32.const -1))
    ;; 10: set_header "x-gone" "1" answers 0
    (call $is (i32.const 10) (call $set_header (i32.const 0x1a0) (i32.const 6) (i32.const 0x1b0) (i32.const 1)) (i32.const 0))
    ;; 11: remove_header "x-gone" answers 0
    (call $is (i32.const 11) (call $remove_header (i32.const 0x1a0) (i32.const 6)) (i32.const 0))
    ;; 12: header "x-gone" 0x8000 0x4000 answers -1
    (call $is (i32.const 12) (call $header (i32.const 0x1a0) (i32.const 6) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 13: read 7 gives {"id":"evt_1","type":"test.event","source":"events","time":"2024-01-01T12:00:00Z","header":{"x-one":"hidden","x-new":"w"},"data":{}}
    (call $text (i32.const 13) (call $read (i32.const 7) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x1c0) (i32.const 132))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
