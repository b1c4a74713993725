server {
  listen = "unix:/run/weir.sock"
  admin  = "0.0.0.0:9000"
  mode   = "sidebar"
  tls {
    cert = "missing.crt"
    kay  = "missing.key"
  }
  tls {
  }
}
