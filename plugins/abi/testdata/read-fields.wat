;; read-fields: every field of the message can be read, byte for byte.
;; Field 7 has its members in the order of the ABI and no added spaces.
(module
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "{\"a\":{\"b\":[1,\"two\"]}}")
  (data (i32.const 0x120) "order.paid")
  (data (i32.const 0x130) "evt_7")
  (data (i32.const 0x140) "shop")
  (data (i32.const 0x150) "order-7")
  (data (i32.const 0x160) "2024-02-03T04:05:06Z")
  (data (i32.const 0x180) "application/json")
  (data (i32.const 0x190) "{\"id\":\"evt_7\",\"type\":\"order.paid\",\"source\":\"shop\",\"subject\":\"order-7\",\"time\":\"2024-02-03T04:05:06Z\",\"header\":{\"x-one\":\"1\",\"x-two\":\"a, b\"},\"data\":{\"a\":{\"b\":[1,\"two\"]}}}")
  (data (i32.const 0x240) "{\"k\":[1]}")
  (data (i32.const 0x250) "big-orders")
  (data (i32.const 0x260) "acme")
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
    ;; 1: read 0 gives {"a":{"b":[1,"two"]}}
    (call $text (i32.const 1) (call $read (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x100) (i32.const 21))
    ;; 2: read 1 gives order.paid
    (call $text (i32.const 2) (call $read (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x120) (i32.const 10))
    ;; 3: read 2 gives evt_7
    (call $text (i32.const 3) (call $read (i32.const 2) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x130) (i32.const 5))
    ;; 4: read 3 gives shop
    (call $text (i32.const 4) (call $read (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x140) (i32.const 4))
    ;; 5: read 4 gives order-7
    (call $text (i32.const 5) (call $read (i32.const 4) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x150) (i32.const 7))
    ;; 6: read 5 gives 2024-02-03T04:05:06Z
    (call $text (i32.const 6) (call $read (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x160) (i32.const 20))
    ;; 7: read 6 gives application/json
    (call $text (i32.const 7) (call $read (i32.const 6) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x180) (i32.const 16))
    ;; 8: read 7 gives {"id":"evt_7","type":"order.paid","source":"shop","subject":"order-7","time":"2024-02-03T04:05:06Z","header":{"x-one":"1","x-two":"a, b"},"data":{"a":{"b":[1,"two"]}}}
    (call $text (i32.const 8) (call $read (i32.const 7) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x190) (i32.const 167))
    ;; 9: read 8 gives {"k":[1]}
    (call $text (i32.const 9) (call $read (i32.const 8) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x240) (i32.const 9))
    ;; 10: read 9 gives big-orders
    (call $text (i32.const 10) (call $read (i32.const 9) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x250) (i32.const 10))
    ;; 11: read 10 gives acme
    (call $text (i32.const 11) (call $read (i32.const 10) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x260) (i32.const 4))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
