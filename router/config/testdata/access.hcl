server {
  listen = "0.0.0.0:8080"
  token  = env("UNSET", "")
  access "shop" {
    token  = "hunter2-of-the-shop"
    scopes = ["ingest", "reed"]
  }
  access "shop" {
    token  = "hunter2"
    scopes = []
  }
  access "Shop" {
    token  = env("EMPTY")
    scopes = ["admin"]
  }
  access "copy" {
    token  = "hunter2-of-the-shop"
    scopes = "read"
  }
  access "spaced" {
    token = "hunter2 with spaces"
  }
  access {
    scopes = [1]
  }
  access "none" {
    scope = ["read"]
  }
}

source "raw" {}

source "meant" {
  verify "none" {}
}

source "login" {
  path = "/login"
}
