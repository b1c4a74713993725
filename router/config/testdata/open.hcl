server {
  listen   = ":8080"
  insecure = true
}

source "raw" {}

source "meant" {
  verify "none" {}
}

source "github" {
  verify "github" {
    secrets = [env("SET")]
  }
}
