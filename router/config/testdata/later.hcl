store "nats" {
  max_age = "30d"
}

plugin "p" {
  wasm = "testdata/ok.wasm"
}

destination "d" {
  url              = "nats://host:4222/subject"
  format           = "cloudevents"
  previous_secrets = ["hunter2"]
  http2            = true
  proxy            = "http://proxy"
  sign "hmac" {
    secrets = ["hunter2"]
  }
  auth "bearer" {
    token = "hunter2"
  }
}

route "r" {
  from     = [source.weir, source.reply]
  to       = [destination.d]
}

webhooks {
  proxy = "http://proxy"
}
metrics {}
tracing {}
test "t" {}
