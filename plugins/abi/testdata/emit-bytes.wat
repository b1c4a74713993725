;; emit-bytes: at most 4 MiB in all results: -4, and nothing has changed.
;; Two results of 2 MB fit and a third does not. It ends by failing, so that nobody has to compare them.
(module
  (import "weir" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "weir" "emit" (func $emit (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "weir" "fail" (func $fail (param i32 i32)))
  (memory (export "memory") 40)
  (data (i32.const 0x100) "{}")
  (data (i32.const 0x110) "all was as it should be")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    ;; Data is a string of 2,000,000 bytes with its quotes.
    (memory.fill (i32.const 0x10000) (i32.const 0x78) (i32.const 2000000))
    (i32.store8 (i32.const 0x10000) (i32.const 0x22))
    (i32.store8 (i32.const 2065535) (i32.const 0x22))
    ;; 1: write 0 0x10000 0x1e8480 answers 0
    (call $is (i32.const 1) (call $write (i32.const 0) (i32.const 0x10000) (i32.const 0x1e8480)) (i32.const 0))
    ;; 2: emit answers 0
    (call $is (i32.const 2) (call $emit) (i32.const 0))
    ;; 3: write 0 0x10000 0x1e8480 answers 0
    (call $is (i32.const 3) (call $write (i32.const 0) (i32.const 0x10000) (i32.const 0x1e8480)) (i32.const 0))
    ;; 4: emit answers 0
    (call $is (i32.const 4) (call $emit) (i32.const 0))
    ;; 5: write 0 0x10000 0x1e8480 answers 0
    (call $is (i32.const 5) (call $write (i32.const 0) (i32.const 0x10000) (i32.const 0x1e8480)) (i32.const 0))
    ;; 6: emit answers -4
    (call $is (i32.const 6) (call $emit) (i32.const -4))
    ;; 7: read 0 0 0 answers 2000000, the message stands as it stood
    (call $is (i32.const 7) (call $read (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 2000000))
    ;; 8: emit answers -4
    (call $is (i32.const 8) (call $emit) (i32.const -4))
    ;; 9: write 0 "{}" answers 0
    (call $is (i32.const 9) (call $write (i32.const 0) (i32.const 0x100) (i32.const 2)) (i32.const 0))
    ;; 10: emit answers 0, a small one still fits
    (call $is (i32.const 10) (call $emit) (i32.const 0))
    (if (i32.eqz (global.get $failed)) (then (call $fail (i32.const 0x110) (i32.const 23))))
    (select (global.get $failed) (i32.const -100) (global.get $failed))))
