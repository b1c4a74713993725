;; init-refuses: anything but 0 from weir_init refuses the plugin.
(module
  (memory (export "memory") 1)
  (func (export "weir_abi_v1"))

  (func (export "weir_init") (result i32)
    (i32.const 1))

  (func (export "weir_transform") (result i32)
    (i32.const 0)))
