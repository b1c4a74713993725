server {
  listen = "localhost:8080"
  listen = "localhost:8081"
}
