store "nats" {
  max_age = "0s"
}

plugin "p" {
  wasm = "testdata/ok.wasm"
}

destination "d" {
  url = "stdout:"
}

route "r" {
  from     = [source.weir, source.reply]
  to       = [destination.d]
}

test "t" {}
