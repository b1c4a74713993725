server {
}

server {
}

source "shop" {
  path = "/in/a"
  verify "none" {
  }
  verify "github" {
    secrets = [env("SET")]
  }
}

source "shop" {
}

source "other" {
  path = "/IN/a"
}

source "native" {
  path = "/in/events"
}

source "api" {
  path = "/api/x"
}

source "weir" {
}

source "Bad" {
}

destination "a" {
  url = "stdout:"
  retry {}
  retry {}
  headers = {
    "x-a" = "1"
    "X-A" = "2"
    host  = "x"
  }
}

destination "a" {
  url = "stdout:"
}

route "r" {
  from = [source.shop, source.shop]
  to   = [destination.a, destination.a]
}

route "r" {
}
