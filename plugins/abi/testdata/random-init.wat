;; random-init: random in weir_init is seeded by the hash of the module: the same for every instance and every load.
(module
  (import "weir" "set_header" (func $set_header (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "x-random")
  (func (export "weir_abi_v1"))

  ;; Writes the 8 bytes at $from as 16 letters, a to p, to $to.
  (func $letters (param $from i32) (param $to i32)
    (local $n i32)
    (loop $next
      (i32.store8 (i32.add (local.get $to) (i32.shl (local.get $n) (i32.const 1)))
        (i32.add (i32.const 0x61) (i32.shr_u (i32.load8_u (i32.add (local.get $from) (local.get $n))) (i32.const 4))))
      (i32.store8 (i32.add (local.get $to) (i32.add (i32.shl (local.get $n) (i32.const 1)) (i32.const 1)))
        (i32.add (i32.const 0x61) (i32.and (i32.load8_u (i32.add (local.get $from) (local.get $n))) (i32.const 15))))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $n) (i32.const 8)))))

  (func (export "weir_init") (result i32)
    (call $random_get (i32.const 0xa000) (i32.const 8)))

  (func (export "weir_transform") (result i32)
    (call $letters (i32.const 0xa000) (i32.const 0x9000))
    (call $set_header (i32.const 0x100) (i32.const 8) (i32.const 0x9000) (i32.const 16))))
