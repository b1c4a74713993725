;; warm-up: each instance sees the warm-up event exactly once before its first event.
(module
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "{\"id\":\"evt_warmup\",\"type\":\"weir.warmup\",\"source\":\"weir\",\"time\":\"1970-01-01T00:00:00Z\",\"header\":{},\"data\":{}}")
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

  (global $calls (mut i32) (i32.const 0))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store8 (i32.const 0xf000) (i32.add (i32.load8_u (i32.const 0xf000)) (i32.const 1)))
    (if (i32.eq (global.get $calls) (i32.const 1))
      (then ;; the warm-up, or a host that leaves it out: keep what it was
        (global.set $failed (i32.const 0))
        (i32.store (i32.const 0xf004) (call $read (i32.const 7) (i32.const 0xe000) (i32.const 0x400)))
        (return (i32.const -1)))) ;; its outcome does not count
    ;; 1: this is the second call that a global counts
    (call $is (i32.const 1) (global.get $calls) (i32.const 2))
    ;; 2: this is the second call that memory counts
    (call $is (i32.const 2) (i32.load8_u (i32.const 0xf000)) (i32.const 2))
    ;; What the first call read is where $text compares it.
    (memory.copy (i32.const 0x8000) (i32.const 0xe000) (i32.const 0x400))
    ;; 3: the first event was the warm-up
    (call $text (i32.const 3) (i32.load (i32.const 0xf004)) (i32.const 0x100) (i32.const 108))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
