# What "make run" runs: GitHub's webhooks in, three receivers out.
# Every env() has a default that is good for this machine only.

server {
  listen = env("WEIR_LISTEN", "127.0.0.1:8080")
}

store "badger" {
  path      = env("WEIR_DATA", "./data")
  retention = "7d"
}

source "github" {
  verify "github" {
    secrets = [env("GITHUB_SECRET", "development-only")]
  }
  type = "github.${header["x-github-event"]}"
  id   = header["x-github-delivery"]
}

# Pushes to other branches than the default one are dropped.
plugin "default_branch" {
  wasm = "examples/plugins/github-default-branch/github-default-branch.wasm"
}

# A push, pull request, issue or release becomes a message for people.
plugin "slack" {
  wasm = "examples/plugins/github-slack/github-slack.wasm"
}

# A chat room wants plain messages.
destination "chat" {
  url    = env("CHAT_URL", "http://127.0.0.1:9101/chat")
  secret = env("CHAT_SECRET", "whsec_Y2hhdCByZWNlaXZlciBmb3IgZGV2ZWxvcG1lbnQ=")
  format = "raw"
}

# An archive wants everything.
destination "archive" {
  url    = env("ARCHIVE_URL", "http://127.0.0.1:9102/archive")
  secret = env("ARCHIVE_SECRET", "whsec_YXJjaGl2ZSByZWNlaXZlciBmb3IgZGV2ZWxvcG0=")
}

# This one answers 503 at first. It is tried again until it takes the event.
destination "tickets" {
  url    = env("TICKETS_URL", "http://127.0.0.1:9103/tickets")
  secret = env("TICKETS_SECRET", "whsec_dGlja2V0cyByZWNlaXZlciBmb3IgZGV2ZWxvcG0=")
  retry {
    schedule = ["0s", "500ms", "1s", "2s", "5s", "30s", "5m"]
  }
}

# What no route takes is printed by the router itself.
destination "unmatched" {
  url = "stdout:"
}

route "chat" {
  from    = [source.github]
  events  = ["github.push", "github.pull_request", "github.issues", "github.release"]
  through = [plugin.default_branch, plugin.slack]
  to      = [destination.chat]
}

route "archive" {
  from   = [source.github]
  events = ["github.*"]
  to     = [destination.archive]
}

route "tickets" {
  from   = [source.github]
  events = ["github.issues", "github.pull_request"]
  when   = event.data.action == "opened" || event.data.action == "closed"
  to     = [destination.tickets]
}

route "unmatched" {
  fallback = true
  to       = [destination.unmatched]
}
