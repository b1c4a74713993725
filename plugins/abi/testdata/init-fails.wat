;; init-fails: a negative number from weir_init refuses the plugin, with the text of fail.
(module
  (import "weir" "fail" (func $fail (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "no table in config")
  (func (export "weir_abi_v1"))

  (func (export "weir_init") (result i32)
    (call $fail (i32.const 0x100) (i32.const 18))
    (i32.const -1))

  (func (export "weir_transform") (result i32)
    (i32.const 0)))
