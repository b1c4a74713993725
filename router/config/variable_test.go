package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const regional = `
variable "regions" {
  type = map(object({
    host   = string
    secret = optional(string, "s3cret-of-a-default")
    least  = number
  }))
}
variable "team" {
  default = "billing"
}
variable "debug" {
  type    = bool
  default = false
}
locals {
  header = { for name, value in { team = var.team } : "x-${name}" => title(value) }
  least  = [for r in var.regions : r.least]
}
destination "regional" {
  for_each = var.regions
  url      = "https://${each.value.host}/${each.key}"
  secret   = each.value.secret
  headers  = merge(local.header, { "x-debug" = tostring(var.debug) })
}
destination "plain" {
  url = "stdout:"
}
route "regional" {
  for_each = var.regions
  when     = event.data.region == each.key && event.data.total > -each.value.least && "${var.team}!" == event.data["team"]
  to       = [destination.regional[each.key], destination.plain]
}
route "eu" {
  events = [for r in keys(var.regions) : "${r}.*"]
  to     = [destination.regional["eu"]]
}
`

func TestForEach(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{
			"WEIR_VAR_regions": `{ us = { host = "us.example.com", least = -2 }, eu = { host = "eu.example.com", secret = "whsec_0123456789abcdef0123456789abcdef", least = 3 } }`,
			"WEIR_VAR_debug":   "true",
			"WEIR_VAR_team":    "from the environment",
		}[name]
		return v, ok
	}
	c, r := Parse("x.hcl", []byte(regional), Options{LookupEnv: env, Vars: map[string]string{"team": "ops"}})
	if c == nil {
		t.Fatal(reportText(t, r))
	}
	var destinations, routes []string
	for _, d := range c.Destinations {
		destinations = append(destinations, fmt.Sprint(d.Name, " ", d.URL, " ", d.Secret.Reveal(), " ", d.Headers))
	}
	for _, x := range c.Routes {
		when := ""
		if x.When != nil {
			when = x.When.Source()
		}
		var to []string
		for _, d := range x.To {
			to = append(to, d.Name)
		}
		routes = append(routes, fmt.Sprint(x.Name, " ", when, " ", x.Events, " ", to))
	}
	wantDestinations := []string{
		"regional.eu https://eu.example.com/eu whsec_0123456789abcdef0123456789abcdef [{x-debug true} {x-team Ops}]",
		"regional.us https://us.example.com/us s3cret-of-a-default [{x-debug true} {x-team Ops}]",
		"plain stdout:  []",
	}
	wantRoutes := []string{
		`regional.eu event.data.region == "eu" && event.data.total > -3 && "${"ops"}!" == event.data["team"] [] [regional.eu plain]`,
		`regional.us event.data.region == "us" && event.data.total > -(-2) && "${"ops"}!" == event.data["team"] [] [regional.us plain]`,
		`eu  [eu.* us.*] [regional.eu]`,
	}
	if !reflect.DeepEqual(destinations, wantDestinations) {
		t.Errorf("destinations\n%s", strings.Join(destinations, "\n"))
	}
	if !reflect.DeepEqual(routes, wantRoutes) {
		t.Errorf("routes\n%s", strings.Join(routes, "\n"))
	}
	// What is kept of it is read back without any of these names.
	b, err := c.MarshalRouting(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := UnmarshalRouting(b, nil)
	if err != nil || again.Route("regional.us").When.Source() != c.Route("regional.us").When.Source() {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "s3cret") {
		t.Error("a secret is kept with the routes")
	}
}

func TestVariableValues(t *testing.T) {
	for _, c := range []struct {
		block, given, want string // want "": refused
	}{
		{"", "text", "text"},
		{"type = string", "", ""},
		{"type = number", "12", "12"},
		{"type = number", "twelve", ""},
		{"type = bool", "true", "true"},
		{"type = bool", "yes", ""},
		{"type = list(string)", `["a", "b"]`, "a,b"},
		{"type = list(string)", `a`, ""},
		{"type = list(string)", `[env("SET")]`, ""},
		{"type = list(string)", `[var.x]`, ""},
		{"type = list(string)", strings.Repeat("[", 1000), ""},
		{"type = set(string)", `["b", "a"]`, "a,b"},
		{"type = map(string)", `{ a = "1" }`, "1"},
		{"default = \"x\"", "y", "y"},
	} {
		value := "x = tostring(var.x)"
		if strings.Contains(c.block, "(") {
			value = "x = join(\",\", sort(values({ for i, v in var.x : i => v })))"
			if strings.Contains(c.block, "set") || strings.Contains(c.block, "list") {
				value = "x = join(\",\", sort(tolist(var.x)))"
			}
		}
		src := "variable \"x\" {\n" + c.block + "\n}\nlocals {\n" + value + "\n}\ndestination \"d\" {\nurl = \"stdout:\"\nheaders = { x = local.x }\n}\n"
		got, r := Parse("x.hcl", []byte(src), Options{LookupEnv: environment, Vars: map[string]string{"x": c.given}})
		switch {
		case c.want == "" && got != nil && c.given != "":
			t.Errorf("%s took %q", c.block, c.given)
		case c.want != "" && (got == nil || got.Destinations[0].Headers[0].Value != c.want):
			t.Errorf("%s with %q: %v", c.block, c.given, r.Err())
		}
	}
	_, r := Parse("x.hcl", []byte("variable \"region\" {}\n"), Options{Vars: map[string]string{"regoin": "x", "region": "y"}})
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), `"regoin"`) || !strings.Contains(err.Error(), `Did you mean "region"`) {
		t.Errorf("an unknown variable: %v", err)
	}
}

// What is given counts in the hash, but for secrets, which could be guessed by it.
func TestVariablesAreHashed(t *testing.T) {
	hash := func(name, value string) string {
		c, r := Parse("x.hcl", []byte("variable \""+name+"\" {}\n"), Options{Vars: map[string]string{name: value}})
		if c == nil {
			t.Fatal(r.Err())
		}
		return c.Hash
	}
	if hash("x", "1") == hash("x", "2") {
		t.Error("the value of a variable does not count")
	}
	if hash("x_token", "1") != hash("x_token", "2") {
		t.Error("the value of a secret variable counts")
	}
}

func TestSecretValuesStayHidden(t *testing.T) {
	for _, src := range []string{
		"variable \"p\" {\n  sensitive = true\n  default = \"hunter2\"\n}\nlocals {\n  a = var.p\n  b = parseint(local.a, 10)\n}\n",
		"variable \"password\" {\n  type = number\n}\n",
		"variable \"password\" {\n  default = \"hunter2\"\n}\nbroken = [\n",
		"variable \"password\" { default = \"hunter2\" }\nbroken = [\n",
		"locals {\n  password = \"hunter2\"\n}\nbroken = [\n",
		"variable \"m\" {\n  type = map(number)\n  default = { password = \"hunter2\" }\n}\n",
		"variable \"password\" {}\nroute \"r\" {\n  when = event.data.x == var.password\n  to = []\n}\n",
		"variable \"password\" {}\ndestination \"d\" {\n  for_each = { a = var.password }\n  url = jsondecode(each.value)\n}\n",
		"variable \"password\" {}\nserver {\n  listen = regex(\"(\", var.password)\n}\n",
		"variable \"password\" {}\nserver {\n  listen = var.password.x\n}\n",
		"variable \"password\" {}\nserver {\n  listen = var.password\n}\n",
	} {
		_, r := Parse("x.hcl", []byte(src), Options{LookupEnv: environment, Vars: map[string]string{"password": "hunter2"}})
		if !r.HasErrors() {
			t.Errorf("taken:\n%s", src)
		}
		j, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if text := reportText(t, r) + string(j); strings.Contains(text, "hunter2") {
			t.Errorf("%s shows it:\n%s", src, text)
		}
	}
}

func TestSafeURL(t *testing.T) {
	c, r := Parse("x.hcl", []byte("destination \"d\" {\n  url = \"https://me:hunter2@example.com/a?x=1&access_token=hunter2&API-Key=hunter2&y=2\"\n}\n"), Options{})
	if c == nil {
		t.Fatal(r.Err())
	}
	if got := c.Destinations[0].SafeURL(); got != "https://me:xxxxx@example.com/a?x=1&access_token=xxxxx&API-Key=xxxxx&y=2" {
		t.Error(got)
	}
}

// Null is what is not written, as in Terraform; what must be written is missing then,
// and what no schema has is still unknown.
func TestNullIsNotWritten(t *testing.T) {
	c, r := Parse("x.hcl", []byte(`
variable "proxy" {
  default = null
}
variable "lanes" {
  default = { a = { rate = "5/s" }, b = {} }
}
locals {
  slow = null
}
server {
  token = local.slow
}
defaults {
  timeout  = "7s"
  order_by = true
}
destination "d" {
  for_each = var.lanes
  url      = "stdout:"
  rate     = try(each.value.rate, null)
  timeout  = local.slow
  proxy    = var.proxy
  order_by = each.key == "a" ? null : false
  retry {
    jitter = each.key == "a" ? 0.5 : null
  }
}
`), Options{LookupEnv: environment})
	if c == nil {
		t.Fatal(reportText(t, r))
	}
	a, b := c.Destinations[0], c.Destinations[1]
	if a.Lane.Rate == (Rate{}) || b.Lane.Rate != (Rate{}) {
		t.Errorf("rates %v and %v", a.Lane.Rate, b.Lane.Rate)
	}
	if a.Jitter != 0.5 || b.Jitter != DefaultJitter || a.Timeout != 7*time.Second {
		t.Errorf("jitter %v and %v, timeout %s", a.Jitter, b.Jitter, a.Timeout)
	}
	if !a.Lane.OrderAll || b.Lane.OrderAll {
		t.Errorf("in order: %v and %v", a.Lane.OrderAll, b.Lane.OrderAll)
	}
	for src, want := range map[string]string{
		"destination \"d\" {\n  url = null\n}\n":                                                                     "Missing",
		"destination \"d\" {\n  url = \"stdout:\"\n  ulr = null\n}\n":                                                "Unknown attribute",
		"source \"s\" {\n  verify \"github\" {\n    secrets = null\n  }\n}\n":                                        "Missing",
		"server {\n  access \"a\" {\n    token  = null\n    scopes = [\"read\"]\n  }\n}\n":                           "Missing",
		"destination \"d\" {\n  url = \"stdout:\"\n}\nroute \"r\" {\n  from = null\n  to = [destination.d]\n}\n":     "Not a list",
		"destination \"d\" {\n  url = \"stdout:\"\n  timeout = local.nowhere\n}\n":                                   "nowhere",
		"locals {\n  a = local.b\n  b = local.a\n}\ndestination \"d\" {\n  url = \"stdout:\"\n  rate = local.a\n}\n": "Circle",
	} {
		_, r := Parse("x.hcl", []byte(src), Options{LookupEnv: environment})
		if text := reportText(t, r); !r.HasErrors() || !strings.Contains(text, want) {
			t.Errorf("%s does not say %q:\n%s", src, want, text)
		}
	}
}
