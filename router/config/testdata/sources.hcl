server {
  public_url = "https://hooks.example.com"
}

source "preset" {
  verify "stirpe" {
    secrets = ["hunter2"]
  }
}

source "none" {
  verify "stripe" {
  }
}

source "empty" {
  verify "slack" {
    secrets = []
  }
}

source "blank" {
  verify "shopify" {
    secrets = ["hunter2", env("EMPTY")]
  }
}

source "untimed" {
  verify "github" {
    secrets   = ["hunter2"]
    tolerance = "5m"
  }
}

source "no-timestamp" {
  verify "hmac" {
    secrets   = ["hunter2"]
    header    = "x-signature"
    tolerance = "1m"
  }
}

source "timestamp" {
  verify "hmac" {
    secrets          = ["hunter2"]
    header           = "x-signature"
    timestamp_header = "X-Signature"
  }
}

source "tolerance" {
  verify "stripe" {
    secrets   = ["hunter2"]
    tolerance = "8d"
  }
}

source "hmac" {
  verify "hmac" {
    secrets          = ["hunter2"]
    header           = "x sig"
    algorithm        = "md5"
    encoding         = "base32"
    timestamp_header = ""
  }
}

source "standard" {
  verify "standard" {
    secrets = ["whsec_hunter2!", "fine"]
  }
}

source "sendgrid" {
  verify "sendgrid" {
    secrets = ["hunter2"]
  }
}

source "basic" {
  verify "basic" {
    password = "hunter2"
  }
}

source "basic-two" {
  verify "basic" {
    username = "a:b"
    passwort = "hunter2"
  }
}

source "token" {
  verify "token" {
    secrets = ["hunter2"]
    prefix  = "v1="
  }
}

source "nobody" {
  verify "none" {
    secrets = ["hunter2"]
  }
}

source "remember" {
  dedupe_signature = true
}

source "remember-stripe" {
  dedupe_signature = true
  verify "stripe" {
    secrets = ["hunter2"]
  }
}

source "remember-gitlab" {
  dedupe_signature = true
  verify "gitlab" {
    secrets = ["hunter2"]
  }
}

source "rate" {
  rate = "50 per second"
}

source "rate-zero" {
  rate = "0/s"
}

source "keep" {
  keep_headers = ["Authorization", "x y", 7]
}

source "keep-text" {
  keep_headers = "x-one"
}

source "answer" {
  reply {
    status       = 302
    content_type = "json"
    bodi         = "x"
  }
}

source "reply-empty" {
  reply {
    status = 204
    body   = "x"
  }
}

source "reply-twice" {
  reply {
    status = 204
  }
  reply {
    status = 200
  }
}

source "reply-attribute" {
  reply = 204
}

source "handshake" {
  handshake "metta" {
  }
}

source "handshake-secret" {
  handshake "meta" {
  }
}

source "handshake-extra" {
  handshake "dropbox" {
    secret = "hunter2"
  }
}

source "handshake-slack" {
  handshake "slack" {
  }
}

source "handshake-label" {
  handshake {
    secret = "hunter2"
  }
}

source "schema" {
  schema = "testdata/none.json"
}

source "schema-wrong" {
  schema = "testdata/wrong.schema.json"
}

source "schema-text" {
  schema = "testdata/sources.hcl"
}

source "schema-remote" {
  schema = "testdata/remote.schema.json"
}

source "tenant" {
  tenant = event.data.account
}
