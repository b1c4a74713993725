server {
  listen = "[::]:8080"
  token  = env("UNSET", "")
}
