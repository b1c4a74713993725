;; get-form: the JSON view of a form is an object of strings, in order; a repeated name is a list.
;; Nothing in it can be changed by path.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "weir" "set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove" (func $remove (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "[\"1\",\"2\"]")
  (data (i32.const 0x110) "a")
  (data (i32.const 0x120) "\"2\"")
  (data (i32.const 0x130) "a.1")
  (data (i32.const 0x140) "\"x y\"")
  (data (i32.const 0x150) "b")
  (data (i32.const 0x160) "{\"a\":[\"1\",\"2\"],\"b\":\"x y\"}")
  (data (i32.const 0x180) "a=1&b=x+y&a=2")
  (data (i32.const 0x190) "c")
  (data (i32.const 0x1a0) "\"z\"")
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
    ;; 1: get "a" gives ["1","2"]
    (call $text (i32.const 1) (call $get (i32.const 0x110) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x100) (i32.const 9))
    ;; 2: get "a.1" gives "2"
    (call $text (i32.const 2) (call $get (i32.const 0x130) (i32.const 3) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x120) (i32.const 3))
    ;; 3: get "b" gives "x y"
    (call $text (i32.const 3) (call $get (i32.const 0x150) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x140) (i32.const 5))
    ;; 4: get "" gives {"a":["1","2"],"b":"x y"}
    (call $text (i32.const 4) (call $get (i32.const 0) (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x160) (i32.const 25))
    ;; 5: read 0 gives a=1&b=x+y&a=2
    (call $text (i32.const 5) (call $read (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x180) (i32.const 13))
    ;; 6: get "c" 0x8000 0x4000 answers -1
    (call $is (i32.const 6) (call $get (i32.const 0x190) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    ;; 7: set "b" "\"z\"" answers -1
    (call $is (i32.const 7) (call $set (i32.const 0x150) (i32.const 1) (i32.const 0x1a0) (i32.const 3)) (i32.const -1))
    ;; 8: remove "b" answers -1
    (call $is (i32.const 8) (call $remove (i32.const 0x150) (i32.const 1)) (i32.const -1))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
