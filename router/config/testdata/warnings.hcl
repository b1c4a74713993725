destination "unsigned" {
  url = "https://example.com/hooks"
}

destination "local" {
  url = "http://127.0.0.1:9000/hooks"
}

destination "spaced" {
  url    = "https://example.com/hooks"
  secret = env("SPACED")
}

route "r" {
  to = [destination.unsigned, destination.local, destination.spaced]
}
