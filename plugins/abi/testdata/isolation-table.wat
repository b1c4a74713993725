;; isolation-table: nothing of one event is visible to the next: not in a table either, nor in what was dropped.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (type $number (func (result i32)))
  (func $one (type $number) (i32.const 1))
  (func $two (type $number) (i32.const 2))
  (elem declare func $one $two)
  (data $passive "abcd")
  (memory (export "memory") 1)
  (data (i32.const 0x100) "real")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (table $t 1 funcref)
  (elem (i32.const 0) $one)

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; The warm-up leaves no mark.
    (if (i32.lt_s (call $get (i32.const 0x100) (i32.const 4) (i32.const 0) (i32.const 0)) (i32.const 0)) (then (return (i32.const 0))))
    ;; 1: the table holds the first function
    (call $is (i32.const 1) (call_indirect $t (type $number) (i32.const 0)) (i32.const 1))
    (memory.init $passive (i32.const 0x8000) (i32.const 0) (i32.const 4)) ;; traps where it was dropped
    (table.set $t (i32.const 0) (ref.func $two))
    (data.drop $passive)
    ;; 2: and now the second
    (call $is (i32.const 2) (call_indirect $t (type $number) (i32.const 0)) (i32.const 2))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
