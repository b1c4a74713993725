plugin "slim" {
  wasm = "testdata/ok.wasm"
}

webhooks "name" {
  from           = [source.events, source.events, source.evnts, plugin.slim]
  event          = ["order.*"]
  events         = ["order *"]
  allow_http     = "yes"
  allow_networks = ["10.0.0.1/8", "10.0.0.0", 7]
  allow_ports    = [0, 8443, "443", 8443.5]
  limit          = -1
  plugins        = [plugin.slim, plugin.slim, plugin.slm, "slim"]
  proxy          = "ftp://user:hunter2@proxy"
  retry {}
}

webhooks {}
