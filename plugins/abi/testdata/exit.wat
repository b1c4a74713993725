;; exit: proc_exit ends the call with the error exit, with whatever code.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "exit")
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32)
    (if (i32.eq (call $get (i32.const 0x100) (i32.const 4) (i32.const 0x8000) (i32.const 0x10)) (i32.const 1)) ;; a digit
      (then (call $proc_exit (i32.sub (i32.load8_u (i32.const 0x8000)) (i32.const 48)))))
    (i32.const 0)))
