;; get-paths: get gives the bytes of a value as they stand, strings with their quotes.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "1")
  (data (i32.const 0x110) "a.b.0")
  (data (i32.const 0x120) "\"two\"")
  (data (i32.const 0x130) "a.b.1")
  (data (i32.const 0x140) "[1, \"two\",{\"c\" : null}]")
  (data (i32.const 0x160) "a.b")
  (data (i32.const 0x170) "null")
  (data (i32.const 0x180) "a.b.2.c")
  (data (i32.const 0x190) "\"zero\"")
  (data (i32.const 0x1a0) "0")
  (data (i32.const 0x1b0) "-0.50")
  (data (i32.const 0x1c0) "x\\.y.\\\\z")
  (data (i32.const 0x1d0) "12345678901234567890")
  (data (i32.const 0x1f0) "big")
  (data (i32.const 0x200) "{\"last\":true}")
  (data (i32.const 0x210) "dup")
  (data (i32.const 0x220) "true")
  (data (i32.const 0x230) "dup.last")
  (data (i32.const 0x240) "\"\\u00fc\"")
  (data (i32.const 0x250) "\c3\bc")
  (data (i32.const 0x260) "{\"a\":{\"b\":[1, \"two\",{\"c\" : null}]},\"0\":\"zero\",\"x.y\":{\"\\\\z\":-0.50},\"big\":12345678901234567890,\"dup\":1,\"dup\":{\"last\":true}, \"\c3\bc\":\"\\u00fc\"}")
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
    ;; 1: get "a.b.0" gives 1
    (call $text (i32.const 1) (call $get (i32.const 0x110) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x100) (i32.const 1))
    ;; 2: get "a.b.1" gives "two"
    (call $text (i32.const 2) (call $get (i32.const 0x130) (i32.const 5) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x120) (i32.const 5))
    ;; 3: get "a.b" gives [1, "two",{"c" : null}]
    (call $text (i32.const 3) (call $get (i32.const 0x160) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x140) (i32.const 23))
    ;; 4: get "a.b.2.c" gives null
    (call $text (i32.const 4) (call $get (i32.const 0x180) (i32.const 7) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x170) (i32.const 4))
    ;; 5: get "0" gives "zero"
    (call $text (i32.const 5) (call $get (i32.const 0x1a0) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x190) (i32.const 6))
    ;; 6: get "x\\.y.\\\\z" gives -0.50
    (call $text (i32.const 6) (call $get (i32.const 0x1c0) (i32.const 8) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x1b0) (i32.const 5))
    ;; 7: get "big" gives 12345678901234567890
    (call $text (i32.const 7) (call $get (i32.const 0x1f0) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x1d0) (i32.const 20))
    ;; 8: get "dup" gives {"last":true}
    (call $text (i32.const 8) (call $get (i32.const 0x210) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x200) (i32.const 13))
    ;; 9: get "dup.last" gives true
    (call $text (i32.const 9) (call $get (i32.const 0x230) (i32.const 8) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x220) (i32.const 4))
    ;; 10: get "\c3\bc" gives "\u00fc"
    (call $text (i32.const 10) (call $get (i32.const 0x250) (i32.const 2) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x240) (i32.const 8))
    ;; 11: get "" gives {"a":{"b":[1, "two",{"c" : null}]},"0":"zero","x.y":{"\\z":-0.50},"big":12345678901234567890,"dup":1,"dup":{"last":true}, "ü":"\u00fc"}
    (call $text (i32.const 11) (call $get (i32.const 0) (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x260) (i32.const 136))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
