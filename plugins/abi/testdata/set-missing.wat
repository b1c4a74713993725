;; set-missing: set makes missing objects, appends a new key last, and appends to an array at index = length.
(module
  (import "weir" "set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "new")
  (data (i32.const 0x110) "1")
  (data (i32.const 0x120) "o.p.q")
  (data (i32.const 0x130) "true")
  (data (i32.const 0x140) "l.2")
  (data (i32.const 0x150) "3")
  (data (i32.const 0x160) "l.3.deep")
  (data (i32.const 0x170) "4")
  (data (i32.const 0x180) "a.0")
  (data (i32.const 0x190) "\"key\"")
  (data (i32.const 0x1a0) "d\\.t")
  (data (i32.const 0x1b0) "5")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; 1: set "new" "1" answers 0
    (call $is (i32.const 1) (call $set (i32.const 0x100) (i32.const 3) (i32.const 0x110) (i32.const 1)) (i32.const 0))
    ;; 2: set "o.p.q" "true" answers 0
    (call $is (i32.const 2) (call $set (i32.const 0x120) (i32.const 5) (i32.const 0x130) (i32.const 4)) (i32.const 0))
    ;; 3: set "l.2" "3" answers 0
    (call $is (i32.const 3) (call $set (i32.const 0x140) (i32.const 3) (i32.const 0x150) (i32.const 1)) (i32.const 0))
    ;; 4: set "l.3.deep" "4" answers 0
    (call $is (i32.const 4) (call $set (i32.const 0x160) (i32.const 8) (i32.const 0x170) (i32.const 1)) (i32.const 0))
    ;; 5: set "a.0" "\"key\"" answers 0, digits are a key in an object
    (call $is (i32.const 5) (call $set (i32.const 0x180) (i32.const 3) (i32.const 0x190) (i32.const 5)) (i32.const 0))
    ;; 6: set "d\\.t" "5" answers 0
    (call $is (i32.const 6) (call $set (i32.const 0x1a0) (i32.const 4) (i32.const 0x1b0) (i32.const 1)) (i32.const 0))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
