destination "auth" {
  url     = "https://u:hunter2@example.com/"
  headers = { "authorization" = "hunter2" }
  auth "basic" {
    username = "a:b"
    password = ""
  }
}

destination "bearer" {
  url = "https://example.com/"
  auth "bearer" {
    token = "hunter 2"
  }
  auth "bearer" {
    token = "hunter2"
  }
}

destination "oauth2" {
  url = "https://example.com/"
  auth "oauth2" {
    token_url = "http://auth.example.com/token"
    scopes    = ["a b", 5]
    tokenurl  = "x"
  }
}

destination "oauth3" {
  url = "https://example.com/"
  auth "oauth3" {
    client_secret = "hunter2"
  }
  auth = "basic"
}

destination "tls" {
  url = "https://example.com/"
  tls {
    ca          = "testdata/absent.pem"
    cert        = "testdata/plain.txt"
    server_name = "https://x"
  }
}

destination "pair" {
  url = "https://example.com/"
  tls {
    cert = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    key  = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"
  }
}

destination "key" {
  url = "https://example.com/"
  tls {
    ca  = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    key = ""
  }
}

destination "plain" {
  url   = "http://127.0.0.1:9000/"
  http2 = true
  tls {
    server_name = "x"
  }
}

destination "proxied" {
  url             = "https://example.com/"
  proxy           = "ftp://u:hunter2@proxy:1/"
  compress        = "zip"
  forward_headers = ["content-encoding", "webhook-id", "a b", "cookie", 5, "x-*"]
}

destination "proxied-by-a-path" {
  url             = "https://example.com/"
  proxy           = "http://proxy/path"
  forward_headers = "x-team"
}

destination "file" {
  url      = "file:///var/lib/weir/x.jsonl"
  secret   = "hunter2"
  compress = true
  auth "bearer" {
    token = "hunter2"
  }
}

destination "nats" {
  url   = "nats://127.0.0.1:4222/orders.*"
  proxy = "http://proxy:3128"
  auth "oauth2" {
    token_url     = "https://auth.example.com/token"
    client_id     = "weir"
    client_secret = "hunter2"
  }
}

destination "nats-without-subject" {
  url = "nats://127.0.0.1:4222"
}

destination "nats-with-query" {
  url = "nats://127.0.0.1:4222/orders?jetstrem=true"
}

destination "nats-of-its-own" {
  url = "nats://127.0.0.1:4222/$JS.API.x"
}
