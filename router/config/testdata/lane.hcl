defaults {
  rate = 50
  breaker "x" {
    failures = 0
    cooldwon = "5s"
  }
}

destination "d" {
  url           = "stdout:"
  rate          = "50/day"
  disable_after = "0s"
  max_age       = "31d"
  breaker {
    cooldown = 5
  }
  breaker {}
}

destination "e" {
  url      = "stdout:"
  order_by = "customer_id"
}

destination "f" {
  url      = "stdout:"
  order_by = 1
}

destination "g" {
  url      = "stdout:"
  order_by = body.customer
}

destination "h" {
  url        = "pull:everything"
  reply_type = "weir.x"
}

destination "i" {
  url        = "pull:"
  reply_type = "order priced"
}

destination "j" {
  url   = "stdout:"
  token = "hunter2"
}
