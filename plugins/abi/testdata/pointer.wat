;; pointer: a pointer outside of the memory traps, whichever import it is given to. data chooses.
;; An empty range, and one that ends where the memory ends, are fine.
(module
  (import "weir" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "weir" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "weir" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "weir" "set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove" (func $remove (param i32 i32) (result i32)))
  (import "weir" "header" (func $header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "set_header" (func $set_header (param i32 i32 i32 i32) (result i32)))
  (import "weir" "remove_header" (func $remove_header (param i32 i32) (result i32)))
  (import "weir" "log" (func $log (param i32 i32 i32)))
  (import "weir" "fail" (func $fail (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0x100) "a")
  (data (i32.const 0x110) "1")
  (data (i32.const 0x120) "x-one")
  (data (i32.const 0x130) "v")
  (func (export "weir_abi_v1"))

  (func (export "weir_transform") (result i32) (local $case i32)
    ;; a letter, as JSON a string: its place in the alphabet
    (drop (call $get (i32.const 0) (i32.const 0) (i32.const 0x8000) (i32.const 3)))
    (local.set $case (i32.sub (i32.load8_u (i32.const 0x8001)) (i32.const 0x61)))
    (if (i32.eq (local.get $case) (i32.const 0)) (then (drop (call $read (i32.const 0) (i32.const 0x10000) (i32.const 1))))) ;; a: read 0 0x10000 1
    (if (i32.eq (local.get $case) (i32.const 1)) (then (drop (call $read (i32.const 0) (i32.const 0xfffc) (i32.const 5))))) ;; b: read 0 0xfffc 5
    (if (i32.eq (local.get $case) (i32.const 2)) (then (drop (call $read (i32.const 0) (i32.const -16) (i32.const 64))))) ;; c: read 0 -16 64
    (if (i32.eq (local.get $case) (i32.const 3)) (then (drop (call $read (i32.const 0) (i32.const 0) (i32.const -1))))) ;; d: read 0 0 -1
    (if (i32.eq (local.get $case) (i32.const 4)) (then (drop (call $write (i32.const 0) (i32.const 0x10000) (i32.const 1))))) ;; e: write 0 0x10000 1
    (if (i32.eq (local.get $case) (i32.const 5)) (then (drop (call $get (i32.const 0x10000) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000))))) ;; f: get 0x10000 1 0x8000 0x4000
    (if (i32.eq (local.get $case) (i32.const 6)) (then (drop (call $get (i32.const 0x100) (i32.const 1) (i32.const 0x10000) (i32.const 1))))) ;; g: get "a" 0x10000 1
    (if (i32.eq (local.get $case) (i32.const 7)) (then (drop (call $set (i32.const 0x10000) (i32.const 1) (i32.const 0x110) (i32.const 1))))) ;; h: set 0x10000 1 "1"
    (if (i32.eq (local.get $case) (i32.const 8)) (then (drop (call $set (i32.const 0x100) (i32.const 1) (i32.const 0xffff) (i32.const 2))))) ;; i: set "a" 0xffff 2
    (if (i32.eq (local.get $case) (i32.const 9)) (then (drop (call $remove (i32.const 0x10000) (i32.const 1))))) ;; j: remove 0x10000 1
    (if (i32.eq (local.get $case) (i32.const 10)) (then (drop (call $header (i32.const 0x10000) (i32.const 1) (i32.const 0x8000) (i32.const 0x4000))))) ;; k: header 0x10000 1 0x8000 0x4000
    (if (i32.eq (local.get $case) (i32.const 11)) (then (drop (call $header (i32.const 0x120) (i32.const 5) (i32.const 0x10000) (i32.const 1))))) ;; l: header "x-one" 0x10000 1
    (if (i32.eq (local.get $case) (i32.const 12)) (then (drop (call $set_header (i32.const 0x10000) (i32.const 1) (i32.const 0x130) (i32.const 1))))) ;; m: set_header 0x10000 1 "v"
    (if (i32.eq (local.get $case) (i32.const 13)) (then (drop (call $set_header (i32.const 0x120) (i32.const 5) (i32.const 0xffff) (i32.const 2))))) ;; n: set_header "x-one" 0xffff 2
    (if (i32.eq (local.get $case) (i32.const 14)) (then (drop (call $remove_header (i32.const 0xffff) (i32.const 2))))) ;; o: remove_header 0xffff 2
    (if (i32.eq (local.get $case) (i32.const 15)) (then (call $log (i32.const 3) (i32.const 0x10000) (i32.const 1)))) ;; p: log 3 0x10000 1
    (if (i32.eq (local.get $case) (i32.const 16)) (then (call $fail (i32.const 0x10000) (i32.const 1)))) ;; q: fail 0x10000 1
    (if (i32.eq (local.get $case) (i32.const 17)) (then (call $fail (i32.const -1) (i32.const 2)))) ;; r: fail -1 2
    (if (i32.eq (local.get $case) (i32.const 25)) ;; z
      (then (return (i32.and (i32.ne (call $read (i32.const 0) (i32.const 0xfffd) (i32.const 3)) (i32.const 3)) (i32.ne (call $read (i32.const 0) (i32.const 0x10000) (i32.const 0)) (i32.const 3))))))
    (i32.const 0)))
