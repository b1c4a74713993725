server {
  listen     = "0.0.0.0:8080"            # ingest, API, dashboard, metrics; or "unix:///run/weir.sock"
  public_url = "https://hooks.example.com" # needed by Twilio's scheme
  token      = "hunter2"       # all scopes; required off loopback
  max_body   = "10MiB"
}

store "badger" {
  path      = "./data"
  retention = "7x" # what replay and explain can look back on
  min_free  = "1GiB" # below this, ingest answers 507 and what is stored is safe
}

defaults {
  timeout = "5s"
  retry {
    schedule = ["0s", "1m", "5m", "30m", "2h"] # delay before each attempt; its length is the most attempts
    jitter   = 1.1
  }
}

source "github" {
  verify "githb" {
    secrets = [env("GITHUB_SECRET")]
  }
  type = "github.${header["X-github-event"]}"
  id   = headr["x-github-delivery"]
}

plugin "redact" {
  wasm   = "plugins/redact.wasm"
  config = { fields = ["email", "card.number"] }
}

destination "crm" {
  url      = "https://user:pw@crm.example.com/hooks"
  secret   = env("CRM_SECRET")
  rate     = "50/s"
  order_by = event.data.customer_id
}

destination "archive" {
  url = "file:///var/lib/weir/rest.jsonl"
}

route "big-orders" {
  from    = [source.event]
  events  = ["order.*"]
  when    = evnt.data.total > 100 && event.dat.currency == "USD" && foo(event.data.x) && regex("(", event.type)
  through = ["redact"]
  to      = [destination.crn]
}

rout "rest" {
  fallback = true
  to       = [destination.archive]
}
