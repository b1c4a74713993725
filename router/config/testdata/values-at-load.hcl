variable "regions" {
  type        = set(string)
  default     = ["eu", "us"]
  description = "where we are"
}

variable "least" {
  type    = number
  default = "many"
}

variable "none" {}

variable "regions" {}

variable "api_password" {
  type    = number
  default = "hunter2"
}

variable "typo" {
  defaults = 1
  type     = text
}

variable "other" {
  default = var.regions
}

locals {
  a        = local.b
  b        = "${local.c}!"
  c        = local.a
  password = "hunter2"
  number   = tonumber(local.password)
  missing  = local.passwort
  all      = local
  fine     = upper("x")
  each     = each.key
}

locals {
  fine = 2
  block {}
}

destination "regional" {
  for_each = toset(["eu", "us"])
  url      = "https://${each.key}.example.com/${each.value}"
  secret   = each.valu
}

destination "numbered" {
  for_each = [1, 2]
  url      = "stdout:"
}

destination "odd" {
  for_each = { "a.b" = 1 }
  url      = "stdout:"
}

destination "plain" {
  url = "stdout:"
}

destination "circle" {
  for_each = { eu = local.a }
  url      = "stdout:"
}

route "r" {
  for_each = { eu = 1, us = -2 }
  when     = event.data.n > - each.value && event.data.region == each.key && event.data.x == each.valu
  to       = [destination.regional[each.key], destination.regional["ue"], destination.regional, destination.regional.eu, destination.plain["eu"], destination.circle["eu"], destination.regional[1]]
}

route "secret" {
  when = event.data.password == local.password
  to   = [destination.regional[var.regions]]
}
