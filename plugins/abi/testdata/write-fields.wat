;; write-fields: data, type, subject and content type can be written, and reads see it.
(module
  (import "weir" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "order.split")
  (data (i32.const 0x110) "s-2")
  (data (i32.const 0x120) "[1 ]")
  (data (i32.const 0x130) "application/vnd.x+json")
  (data (i32.const 0x150) "1")
  (data (i32.const 0x160) "0")
  (data (i32.const 0x170) "{\"id\":\"evt_1\",\"type\":\"order.split\",\"source\":\"events\",\"subject\":\"s-2\",\"time\":\"2024-01-01T12:00:00Z\",\"header\":{},\"data\":[1 ]}")
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
    ;; 1: write 1 "order.split" answers 0
    (call $is (i32.const 1) (call $write (i32.const 1) (i32.const 0x100) (i32.const 11)) (i32.const 0))
    ;; 2: read 1 gives order.split
    (call $text (i32.const 2) (call $read (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x100) (i32.const 11))
    ;; 3: write 4 "s-2" answers 0
    (call $is (i32.const 3) (call $write (i32.const 4) (i32.const 0x110) (i32.const 3)) (i32.const 0))
    ;; 4: read 4 gives s-2
    (call $text (i32.const 4) (call $read (i32.const 4) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x110) (i32.const 3))
    ;; 5: write 0 "[1 ]" answers 0
    (call $is (i32.const 5) (call $write (i32.const 0) (i32.const 0x120) (i32.const 4)) (i32.const 0))
    ;; 6: read 0 gives [1 ]
    (call $text (i32.const 6) (call $read (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x120) (i32.const 4))
    ;; 7: write 6 "application/vnd.x+json" answers 0
    (call $is (i32.const 7) (call $write (i32.const 6) (i32.const 0x130) (i32.const 22)) (i32.const 0))
    ;; 8: read 6 gives application/vnd.x+json
    (call $text (i32.const 8) (call $read (i32.const 6) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x130) (i32.const 22))
    ;; 9: get "0" gives 1
    (call $text (i32.const 9) (call $get (i32.const 0x160) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x150) (i32.const 1))
    ;; 10: read 7 gives {"id":"evt_1","type":"order.split","source":"events","subject":"s-2","time":"2024-01-01T12:00:00Z","header":{},"data":[1 ]}
    (call $text (i32.const 10) (call $read (i32.const 7) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x170) (i32.const 123))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
