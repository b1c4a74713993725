;; filter-verdict: a filter returns 1 to keep and 0 to drop, anything positive else is bad_result, and a negative number an error.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "weir" "fail" (func $fail (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "n")
  (data (i32.const 0x110) "the filter fails")
  (func (export "weir_abi_v1"))

  (func (export "weir_filter") (result i32)
    (drop (call $get (i32.const 0x100) (i32.const 1) (i32.const 0x8000) (i32.const 0x10)))
    (if (i32.eq (i32.load8_u (i32.const 0x8000)) (i32.const 45)) ;; "-"
      (then (call $fail (i32.const 0x110) (i32.const 16)) (return (i32.const -1))))
    (i32.sub (i32.load8_u (i32.const 0x8000)) (i32.const 48))))
