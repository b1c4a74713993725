destination "no-current" {
  url              = "https://example.com/"
  previous_secrets = ["hunter2"]
}

destination "unsigned" {
  url = "https://example.com/"
}
