server {
  listen   = "localhost"
  max_body = 5
}

store "badger" {
  path      = ""
  retention = "5m"
  min_free  = "1 banana"
}

log {
  level = "warning"
  json  = "yes"
}

defaults {
  url         = "stdout:"
  timeout     = "0s"
  concurrency = 0
  retry {
    schedule = []
    jitter   = "a"
  }
}

source "events" {
  format = "raw"
  path   = "/x"
}

source "s" {
  path   = "in/x/"
  dedupe = "99d"
  format = "nativ"
  type   = event.type
}

plugin "p" {
  wasm     = "testdata/values.hcl"
  memory   = "1KiB"
  fuel      = 0
  init_fuel = "much"
  isolation = "pur"
  abi       = "wasi"
  shadow    = "testdata/absent.wasm"
  deadline = "10m"
  on_error = "ignore"
}

destination "f" {
  url         = "file://relative.jsonl"
  format      = "envelop"
  concurrency = 1001
  timeout     = 5
  retry {
    schedule = ["0s", "x", 5, "31d"]
  }
}

destination "o" {
  url    = "stdout:x"
  secert = "hunter2"
  retry  = "5s"
}

destination {
  url = "stdout:"
}

route "r" {
  from     = []
  events   = ["", 5, " a"]
  through  = plugin.p
  to       = destination.f
  fallback = 1
}

route "s" {
  events = "order.*"
  to     = [plugin.p, destinaton.f, destination, destination.f.url, "${destination.f}", 5]
  when {
  }
}
