destination "a" {
  url    = "stdout:"
  secret = "hunter2
}
