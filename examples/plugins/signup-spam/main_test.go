package main

import "testing"

func TestJudge(t *testing.T) {
	config := settings{Disposable: []string{"mailinator.com"}, Trusted: []string{"example.edu"}}
	for name, c := range map[string]struct {
		signup signup
		want   int
	}{
		"a person":              {signup{Email: "ada@example.com", Name: "Ada Lovelace"}, 0},
		"a subdomain":           {signup{Email: "x@in.mailinator.com"}, disposablePoints},
		"only looks like it":    {signup{Email: "x@notmailinator.com"}, 0},
		"no address":            {signup{Email: "nobody"}, badAddressPoints},
		"no host":               {signup{Email: "nobody@localhost"}, badAddressPoints},
		"two at once":           {signup{Email: "x@mailinator.com", Website: "x"}, disposablePoints + honeypotPoints},
		"trusted":               {signup{Email: "x@EXAMPLE.edu", Website: "x"}, 0},
		"a long name with care": {signup{Email: "x@example.com", Name: "McDonaldFitzGerald"}, 0},
	} {
		if got, reasons := c.signup.judge(config); got != c.want {
			t.Errorf("%s: %d points for %v, want %d", name, got, reasons, c.want)
		}
	}
}
