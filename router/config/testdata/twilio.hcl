source "sms" {
  verify "twilio" {
    secrets = ["hunter2"]
  }
}
