;; set-duplicate: of duplicate keys the last counts, so it is the one that set changes.
(module
  (import "weir" "set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "a")
  (data (i32.const 0x110) "3")
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
    ;; 1: set "a" "3" answers 0
    (call $is (i32.const 1) (call $set (i32.const 0x100) (i32.const 1) (i32.const 0x110) (i32.const 1)) (i32.const 0))
    ;; 2: get "a" gives 3
    (call $text (i32.const 2) (call $get (i32.const 0x100) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000)) (i32.const 0x110) (i32.const 1))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
