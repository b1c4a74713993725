;; header-reserved: headers of the router can not be set or removed: -3, in any case, and nothing has changed.
(module
  (import "weir" "set_header" (func $set_header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove_header" (func $remove_header (param i32 i32) (result i32)))
  (import "weir" "header" (func $header (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "host")
  (data (i32.const 0x110) "v")
  (data (i32.const 0x120) "content-length")
  (data (i32.const 0x130) "Transfer-Encoding")
  (data (i32.const 0x150) "CONNECTION")
  (data (i32.const 0x160) "user-agent")
  (data (i32.const 0x170) "webhook-id")
  (data (i32.const 0x180) "webhook-x")
  (data (i32.const 0x190) "X-Webhook-Signature")
  (data (i32.const 0x1b0) "x-webhook-x")
  (data (i32.const 0x1c0) "authorization")
  (data (i32.const 0x1d0) "curl")
  (data (i32.const 0x1e0) "msg_1")
  (data (i32.const 0x1f0) "x-webhoo")
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
    ;; 1: set_header "host" "v" answers -3
    (call $is (i32.const 1) (call $set_header (i32.const 0x100) (i32.const 4) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 2: remove_header "host" answers -3
    (call $is (i32.const 2) (call $remove_header (i32.const 0x100) (i32.const 4)) (i32.const -3))
    ;; 3: set_header "content-length" "v" answers -3
    (call $is (i32.const 3) (call $set_header (i32.const 0x120) (i32.const 14) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 4: remove_header "content-length" answers -3
    (call $is (i32.const 4) (call $remove_header (i32.const 0x120) (i32.const 14)) (i32.const -3))
    ;; 5: set_header "Transfer-Encoding" "v" answers -3
    (call $is (i32.const 5) (call $set_header (i32.const 0x130) (i32.const 17) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 6: remove_header "Transfer-Encoding" answers -3
    (call $is (i32.const 6) (call $remove_header (i32.const 0x130) (i32.const 17)) (i32.const -3))
    ;; 7: set_header "CONNECTION" "v" answers -3
    (call $is (i32.const 7) (call $set_header (i32.const 0x150) (i32.const 10) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 8: remove_header "CONNECTION" answers -3
    (call $is (i32.const 8) (call $remove_header (i32.const 0x150) (i32.const 10)) (i32.const -3))
    ;; 9: set_header "user-agent" "v" answers -3
    (call $is (i32.const 9) (call $set_header (i32.const 0x160) (i32.const 10) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 10: remove_header "user-agent" answers -3
    (call $is (i32.const 10) (call $remove_header (i32.const 0x160) (i32.const 10)) (i32.const -3))
    ;; 11: set_header "webhook-id" "v" answers -3
    (call $is (i32.const 11) (call $set_header (i32.const 0x170) (i32.const 10) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 12: remove_header "webhook-id" answers -3
    (call $is (i32.const 12) (call $remove_header (i32.const 0x170) (i32.const 10)) (i32.const -3))
    ;; 13: set_header "webhook-x" "v" answers -3
    (call $is (i32.const 13) (call $set_header (i32.const 0x180) (i32.const 9) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 14: remove_header "webhook-x" answers -3
    (call $is (i32.const 14) (call $remove_header (i32.const 0x180) (i32.const 9)) (i32.const -3))
    ;; 15: set_header "X-Webhook-Signature" "v" answers -3
    (call $is (i32.const 15) (call $set_header (i32.const 0x190) (i32.const 19) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 16: remove_header "X-Webhook-Signature" answers -3
    (call $is (i32.const 16) (call $remove_header (i32.const 0x190) (i32.const 19)) (i32.const -3))
    ;; 17: set_header "x-webhook-x" "v" answers -3
    (call $is (i32.const 17) (call $set_header (i32.const 0x1b0) (i32.const 11) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 18: remove_header "x-webhook-x" answers -3
    (call $is (i32.const 18) (call $remove_header (i32.const 0x1b0) (i32.const 11)) (i32.const -3))
    ;; 19: set_header "authorization" "v" answers -3
    (call $is (i32.const 19) (call $set_header (i32.const 0x1c0) (i32.const 13) (i32.const 0x110) (i32.const 1)) (i32.const -3))
    ;; 20: remove_header "authorization" answers -3
    (call $is (i32.const 20) (call $remove_header (i32.const 0x1c0) (i32.const 13)) (i32.const -3))
    ;; 21: header "user-agent" gives curl
    (call $text (i32.const 21) (call $header (i32.const 0x160) (i32.const 10) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x1d0) (i32.const 4))
    ;; 22: header "webhook-id" gives msg_1
    (call $text (i32.const 22) (call $header (i32.const 0x170) (i32.const 10) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x1e0) (i32.const 5))
    ;; 23: set_header "x-webhoo" "v" answers 0, this one is not reserved
    (call $is (i32.const 23) (call $set_header (i32.const 0x1f0) (i32.const 8) (i32.const 0x110) (i32.const 1)) (i32.const 0))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
