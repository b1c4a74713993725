;; fuel: a loop that does not end runs out of fuel; a long one that ends does not.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "ends")
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32) (local $n i32)
    (if (i32.eq (call $get (i32.const 0x100) (i32.const 4) (i32.const 0) (i32.const 0)) (i32.const 5)) (then (loop $for_ever (br $for_ever)))) ;; false
    (local.set $n (i32.const 1000000))
    (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
