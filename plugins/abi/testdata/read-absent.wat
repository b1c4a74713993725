;; read-absent: what a message does not have is -1; the config is null when unset.
(module
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "null")
  (data (i32.const 0x110) "{\"id\":\"evt_1\",\"type\":\"test.event\",\"source\":\"events\",\"time\":\"2024-01-01T12:00:00Z\",\"header\":{},\"data\":\"plain\"}")
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
    ;; 1: read 4 0x8000 0x4000 answers -1
    (call $is (i32.const 1) (call $read (i32.const 4) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 2: read 6 0x8000 0x4000 answers -1
    (call $is (i32.const 2) (call $read (i32.const 6) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 3: read 10 0x8000 0x4000 answers -1
    (call $is (i32.const 3) (call $read (i32.const 10) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 4: read 8 gives null
    (call $text (i32.const 4) (call $read (i32.const 8) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x100) (i32.const 4))
    ;; 5: read 7 gives {"id":"evt_1","type":"test.event","source":"events","time":"2024-01-01T12:00:00Z","header":{},"data":"plain"}
    (call $text (i32.const 5) (call $read (i32.const 7) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x110) (i32.const 109))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
