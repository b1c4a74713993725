;; Holds the script of a plugin. The packer puts it where the marker stands. The
;; segment is passive, so that a script costs memory only while it is read.
(module
  (import "adapter" "memory" (memory 0))
  (data $script "weir:script")
  (func (export "load") (param $to i32) (param $offset i32) (param $n i32)
    (memory.init $script (local.get $to) (local.get $offset) (local.get $n))))
