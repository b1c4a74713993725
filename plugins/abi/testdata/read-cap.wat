;; read-cap: a read gives the full length and writes nothing when that exceeds cap.
(module
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "weir" "header" (func $header (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "a.b")
  (data (i32.const 0x110) "x-one")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    (i32.store8 (i32.const 0x8000) (i32.const 0x5a)) (i32.store8 (i32.const 0x8009) (i32.const 0x5a))
    ;; 1: read 1 0x8000 9 answers 10, one too small
    (call $is (i32.const 1) (call $read (i32.const 1) (i32.const 0x8000) (i32.const 9)) (i32.const 10))
    ;; 2: nothing was written
    (call $is (i32.const 2) (i32.load8_u (i32.const 0x8000)) (i32.const 90))
    ;; 3: read 1 0x8000 0 answers 10, cap 0
    (call $is (i32.const 3) (call $read (i32.const 1) (i32.const 0x8000) (i32.const 0)) (i32.const 10))
    ;; 4: read 1 0 0 answers 10, cap 0
    (call $is (i32.const 4) (call $read (i32.const 1) (i32.const 0) (i32.const 0)) (i32.const 10))
    ;; 5: nothing was written
    (call $is (i32.const 5) (i32.load8_u (i32.const 0x8000)) (i32.const 90))
    ;; 6: read 1 0x8000 10 answers 10, just large enough
    (call $is (i32.const 6) (call $read (i32.const 1) (i32.const 0x8000) (i32.const 10)) (i32.const 10))
    ;; 7: the last byte was written
    (call $is (i32.const 7) (i32.ne (i32.load8_u (i32.const 0x8009)) (i32.const 0x5a)) (i32.const 1))
    (i32.store8 (i32.const 0x800a) (i32.const 0x5a))
    ;; 8: read 1 0x8000 0x4000 answers 10, more than enough
    (call $is (i32.const 8) (call $read (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 10))
    ;; 9: and nothing behind it
    (call $is (i32.const 9) (i32.load8_u (i32.const 0x800a)) (i32.const 90))
    (i32.store8 (i32.const 0x8000) (i32.const 0x5a)) (i32.store8 (i32.const 0x8004) (i32.const 0x5a))
    ;; 10: get "a.b" 0x8000 4 answers 5, one too small
    (call $is (i32.const 10) (call $get (i32.const 0x100) (i32.const 3) (i32.const 0x8000) (i32.const 4)) (i32.const 5))
    ;; 11: nothing was written
    (call $is (i32.const 11) (i32.load8_u (i32.const 0x8000)) (i32.const 90))
    ;; 12: get "a.b" 0x8000 0 answers 5, cap 0
    (call $is (i32.const 12) (call $get (i32.const 0x100) (i32.const 3) (i32.const 0x8000) (i32.const 0)) (i32.const 5))
    ;; 13: get "a.b" 0 0 answers 5, cap 0
    (call $is (i32.const 13) (call $get (i32.const 0x100) (i32.const 3) (i32.const 0) (i32.const 0)) (i32.const 5))
    ;; 14: nothing was written
    (call $is (i32.const 14) (i32.load8_u (i32.const 0x8000)) (i32.const 90))
    ;; 15: get "a.b" 0x8000 5 answers 5, just large enough
    (call $is (i32.const 15) (call $get (i32.const 0x100) (i32.const 3) (i32.const 0x8000) (i32.const 5)) (i32.const 5))
    ;; 16: the last byte was written
    (call $is (i32.const 16) (i32.ne (i32.load8_u (i32.const 0x8004)) (i32.const 0x5a)) (i32.const 1))
    (i32.store8 (i32.const 0x8005) (i32.const 0x5a))
    ;; 17: get "a.b" 0x8000 0x4000 answers 5, more than enough
    (call $is (i32.const 17) (call $get (i32.const 0x100) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 5))
    ;; 18: and nothing behind it
    (call $is (i32.const 18) (i32.load8_u (i32.const 0x8005)) (i32.const 90))
    (i32.store8 (i32.const 0x8000) (i32.const 0x5a)) (i32.store8 (i32.const 0x8002) (i32.const 0x5a))
    ;; 19: header "x-one" 0x8000 2 answers 3, one too small
    (call $is (i32.const 19) (call $header (i32.const 0x110) (i32.const 5) (i32.const 0x8000) (i32.const 2)) (i32.const 3))
    ;; 20: nothing was written
    (call $is (i32.const 20) (i32.load8_u (i32.const 0x8000)) (i32.const 90))
    ;; 21: header "x-one" 0x8000 0 answers 3, cap 0
    (call $is (i32.const 21) (call $header (i32.const 0x110) (i32.const 5) (i32.const 0x8000) (i32.const 0)) (i32.const 3))
    ;; 22: header "x-one" 0 0 answers 3, cap 0
    (call $is (i32.const 22) (call $header (i32.const 0x110) (i32.const 5) (i32.const 0) (i32.const 0)) (i32.const 3))
    ;; 23: nothing was written
    (call $is (i32.const 23) (i32.load8_u (i32.const 0x8000)) (i32.const 90))
    ;; 24: header "x-one" 0x8000 3 answers 3, just large enough
    (call $is (i32.const 24) (call $header (i32.const 0x110) (i32.const 5) (i32.const 0x8000) (i32.const 3)) (i32.const 3))
    ;; 25: the last byte was written
    (call $is (i32.const 25) (i32.ne (i32.load8_u (i32.const 0x8002)) (i32.const 0x5a)) (i32.const 1))
    (i32.store8 (i32.const 0x8003) (i32.const 0x5a))
    ;; 26: header "x-one" 0x8000 0x4000 answers 3, more than enough
    (call $is (i32.const 26) (call $header (i32.const 0x110) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 3))
    ;; 27: and nothing behind it
    (call $is (i32.const 27) (i32.load8_u (i32.const 0x8003)) (i32.const 90))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
