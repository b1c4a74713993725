destination "a" {
  url     = "ftp://user:hunter2@example.com"
  secret  = env("UNSET", "hunter2") + 1
  headers = { authorization = "Bearer hunter2", "x y" = "hunter2" }
}

destination "b" {
  url    = "http://user:hunter2@example.com:99999/"
  secret = env("EMPTY")
}

destination "c" {
  url    = "https://c.example.com"
  secret = env("MISSING")
}

destination "d" {
  url    = "https://d.example.com"
  secret = jsondecode("hunter2")
}

destination "f" {
  url    = "https://f.example.com"
  secret = env("SPACED")
}

destination "g" {
  url    = "https://g.example.com"
  secret = ["hunter2"]
}

source "s" {
  verify "hmac" {
    secrets   = ["hunter2", "", 5]
    header    = "x signature"
    algorithm = "md5"
    tolerance = "5m"
  }
}

source "t" {
  verify "github" {
    secrets = []
    header  = "x"
  }
}

source "u" {
  verify "github" {
  }
}

plugin "p" {
  wasm   = "none.wasm"
  config = { api_key = "hunter2" + 1, secret = "hunter2", nested = [{ token = "hunter2" }] }
}
