;; set-value: set replaces a value in place; other bytes stay as they are.
;; Every import sees the change.
(module
  (import "weir" "set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "a.b")
  (data (i32.const 0x110) "\"new\"")
  (data (i32.const 0x120) "{ \"z\" : 1.0,\09\"a\" : { \"b\" : \"new\" }, \"l\":[1,2] }")
  (data (i32.const 0x150) "l.1")
  (data (i32.const 0x160) "{\"x\":[]}")
  (data (i32.const 0x170) "z")
  (data (i32.const 0x180) "-0")
  (data (i32.const 0x190) "[ 1 ]")
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
    ;; 1: set "a.b" "\"new\"" answers 0
    (call $is (i32.const 1) (call $set (i32.const 0x100) (i32.const 3) (i32.const 0x110) (i32.const 5)) (i32.const 0))
    ;; 2: get "a.b" gives "new"
    (call $text (i32.const 2) (call $get (i32.const 0x100) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x110) (i32.const 5))
    ;; 3: read 0 gives { "z" : 1.0,	"a" : { "b" : "new" }, "l":[1,2] }
    (call $text (i32.const 3) (call $read (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x120) (i32.const 47))
    ;; 4: set "l.1" "{\"x\":[]}" answers 0
    (call $is (i32.const 4) (call $set (i32.const 0x150) (i32.const 3) (i32.const 0x160) (i32.const 8)) (i32.const 0))
    ;; 5: set "z" "-0" answers 0
    (call $is (i32.const 5) (call $set (i32.const 0x170) (i32.const 1) (i32.const 0x180) (i32.const 2)) (i32.const 0))
    ;; 6: set "a.b" "[ 1 ]" answers 0
    (call $is (i32.const 6) (call $set (i32.const 0x100) (i32.const 3) (i32.const 0x190) (i32.const 5)) (i32.const 0))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
