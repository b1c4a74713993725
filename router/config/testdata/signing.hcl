defaults {
  secret = "hunter2"
}

destination "secret-beside-a-block" {
  url              = "https://example.com/"
  secret           = "hunter2"
  previous_secrets = ["hunter2"]
  sign "standard" {
    secrets = ["hunter2"]
  }
}

destination "malformed" {
  url              = "https://example.com/"
  secret           = "whsec_hunter2?"
  previous_secrets = ["whsec_hunter2?", ""]
}

destination "blocks" {
  url = "https://example.com/"
  sign "hmac" {
    secrets  = ["hunter2", "hunter2"]
    header   = "X Signature"
    encoding = "base32"
    prefix   = " v1="
  }
  sign "hmac" {
    secrets = []
    header  = "webhook-signature"
  }
  sign "standard" {
    keys = ["hunter2"]
  }
  sign "standard" {
    secrets = ["whsec_hunter2?"]
  }
  sign "ed25519" {
    keys = ["hunter2", "whsk_hunter2"]
  }
  sign "ed25518" {
    keys = ["hunter2"]
  }
  sign {
    secrets = ["hunter2"]
  }
}

destination "twice" {
  url     = "https://example.com/"
  headers = { "x-hub-signature-256" = "hunter2" }
  sign "hmac" {
    secrets = ["hunter2"]
    header  = "X-Hub-Signature-256"
  }
  sign "hmac" {
    secrets = ["hunter2"]
    header  = "x-hub-signature-256"
  }
}
