// The plugin signup-spam keeps sign-ups that look like people and drops those that
// look like spam. It adds up points for what is suspicious, so that no single sign
// decides, and logs what it dropped and why.
package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	weir "github.com/weirhq/weir/sdk/go"
	"github.com/weirhq/weir/sdk/go/typed"
)

func main() {}

// settings are the plugin's config.
type settings struct {
	// Limit is the number of points from which a sign-up is spam.
	Limit int `json:"limit"`
	// Disposable are domains of addresses that last for minutes.
	Disposable []string `json:"disposable"`
	// Trusted are domains whose sign-ups are always kept.
	Trusted []string `json:"trusted"`
}

var config settings

//go:wasmexport weir_init
func start() int32 {
	return weir.Init(func() error {
		var err error
		if config, err = typed.Config[settings](); err != nil {
			return err
		}
		if config.Limit < 0 {
			return errors.New("config: limit is a number of points, 3 unless set")
		}
		if config.Limit == 0 {
			config.Limit = 3
		}
		return nil
	})
}

//go:wasmexport weir_filter
func filter() int32 {
	return weir.Filter(func(m *weir.Message) (bool, error) {
		signup, err := typed.Get[signup](m, "")
		if err != nil {
			return false, err
		}
		points, reasons := signup.judge(config)
		if points < config.Limit {
			return true, nil
		}
		weir.Info("dropped " + m.ID() + ": " + strconv.Itoa(points) + " points: " + strings.Join(reasons, ", "))
		return false, nil
	})
}

// signup is what a form sends.
type signup struct {
	Email   string `json:"email"`
	Name    string `json:"name"`
	Company string `json:"company"`
	// Website is a field that people don't see and bots fill in.
	Website string `json:"website"`
	// FormMillis is how long the form was open.
	FormMillis *int64 `json:"form_ms"`
	UserAgent  string `json:"user_agent"`
}

// The points of each sign.
const (
	honeypotPoints   = 3
	disposablePoints = 3
	linkPoints       = 3
	badAddressPoints = 3
	fastPoints       = 2
	scriptPoints     = 2
	dotsPoints       = 1
	randomPoints     = 1

	// fastMillis is what nobody fills a form in.
	fastMillis = 1500
)

// judge adds up what is suspicious.
func (s signup) judge(c settings) (points int, reasons []string) {
	add := func(is bool, n int, why string) {
		if is {
			points += n
			reasons = append(reasons, why)
		}
	}
	local, domain, ok := cutAddress(s.Email)
	if slices.Contains(c.Trusted, domain) && ok {
		return 0, nil
	}
	add(!ok, badAddressPoints, "the address is none")
	add(under(domain, c.Disposable), disposablePoints, "the address is disposable")
	add(s.Website != "", honeypotPoints, "the hidden field is filled in")
	add(hasLink(s.Name) || hasLink(s.Company), linkPoints, "a name is a link")
	add(s.FormMillis != nil && *s.FormMillis < fastMillis, fastPoints, "the form took no time")
	add(isScript(s.UserAgent), scriptPoints, "the client is a script")
	add(strings.Count(local, ".") > 3, dotsPoints, "the address is full of dots")
	add(looksRandom(s.Name), randomPoints, "the name looks random")
	return points, reasons
}

func cutAddress(address string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || strings.ContainsAny(address, " \t<>") {
		return "", "", false
	}
	domain = strings.ToLower(address[at+1:])
	return address[:at], domain, strings.Contains(strings.Trim(domain, "."), ".")
}

// under reports whether a domain is one of a list or below one.
func under(domain string, list []string) bool {
	return slices.ContainsFunc(list, func(d string) bool {
		return domain == d || strings.HasSuffix(domain, "."+d)
	})
}

func hasLink(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "://") || strings.Contains(text, "www.") || strings.Contains(text, "t.me/")
}

func isScript(agent string) bool {
	agent = strings.ToLower(agent)
	return slices.ContainsFunc([]string{"curl/", "python-requests", "go-http-client", "headlesschrome"}, func(s string) bool {
		return strings.Contains(agent, s)
	})
}

// looksRandom knows names such as "xKqTzWvRpL": one long word that changes its case
// again and again.
func looksRandom(name string) bool {
	if len(name) < 8 || strings.ContainsAny(name, " -.'") {
		return false
	}
	changes := 0
	for i := 1; i < len(name); i++ {
		if isUpper(name[i]) != isUpper(name[i-1]) {
			changes++
		}
	}
	return changes > len(name)/2
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
