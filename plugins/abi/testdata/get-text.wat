;; get-text: the JSON view of other UTF-8 text is a string.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "\"say \\\"hi\\\"\"")
  (data (i32.const 0x110) "say \"hi\"")
  (data (i32.const 0x120) "a")
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
    ;; 1: get "" gives "say \"hi\""
    (call $text (i32.const 1) (call $get (i32.const 0) (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x100) (i32.const 12))
    ;; 2: read 0 gives say "hi"
    (call $text (i32.const 2) (call $read (i32.const 0) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x110) (i32.const 8))
    ;; 3: get "a" 0x8000 0x4000 answers -1
    (call $is (i32.const 3) (call $get (i32.const 0x120) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const -1))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
