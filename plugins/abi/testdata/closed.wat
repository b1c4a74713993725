;; closed: there are no files, no arguments and no environment.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "etc/passwd")
  (func (export "weir_abi_v1"))

  ;; A step that goes wrong makes the function return its number, negative.
  (global $failed (mut i32) (i32.const 0))
  (func $is (param $step i32) (param $got i32) (param $want i32)
    (if (i32.and (i32.eqz (global.get $failed)) (i32.ne (local.get $got) (local.get $want)))
      (then (global.set $failed (i32.sub (i32.const 0) (local.get $step))))))

  (func (export "weir_transform") (result i32)
    (global.set $failed (i32.const 0))
    (i64.store (i32.const 0x8000) (i64.const -1))
    ;; 1: args_sizes_get works
    (call $is (i32.const 1) (call $args_sizes_get (i32.const 0x8000) (i32.const 0x8004)) (i32.const 0))
    ;; 2: and counts none
    (call $is (i32.const 2) (i32.load (i32.const 0x8000)) (i32.const 0))
    (i64.store (i32.const 0x8000) (i64.const -1))
    ;; 3: environ_sizes_get works
    (call $is (i32.const 3) (call $environ_sizes_get (i32.const 0x8000) (i32.const 0x8004)) (i32.const 0))
    ;; 4: and counts none
    (call $is (i32.const 4) (i32.load (i32.const 0x8000)) (i32.const 0))
    ;; 5: no folder is open
    (call $is (i32.const 5) (i32.eqz (call $fd_prestat_get (i32.const 3) (i32.const 0x8000))) (i32.const 0))
    ;; 6: no file can be opened
    (call $is (i32.const 6) (i32.eqz (call $path_open (i32.const 3) (i32.const 0) (i32.const 0x100) (i32.const 10) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0x8000))) (i32.const 0))
    (select (global.get $failed) (i32.const 0) (global.get $failed))))
