package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Rate is how many may pass in a span of time.
type Rate struct {
	Count int
	// Per is a second, a minute or an hour.
	Per time.Duration
}

// maxRate is the largest count of a rate.
const maxRate = 1_000_000

// ParseRate reads a rate such as "50/s", "600/m" or "1000/h".
func ParseRate(s string) (Rate, error) {
	count, unit, _ := strings.Cut(s, "/")
	n, err := strconv.ParseUint(strings.TrimSpace(count), 10, 32)
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[strings.TrimSpace(unit)]
	if err != nil || per == 0 {
		return Rate{}, fmt.Errorf(`%q is not a rate; write it like "50/s", "600/m" or "1000/h"`, s)
	}
	if n < 1 || n > maxRate {
		return Rate{}, fmt.Errorf("%q is not a rate from 1 to %d", s, maxRate)
	}
	return Rate{Count: int(n), Per: per}, nil
}

// rate reads a rate, nil where the attribute is not there.
func (l *loader) rate(a *hclsyntax.Attribute) *Rate {
	if a == nil {
		return nil
	}
	s, ok := l.text(a)
	if !ok {
		return nil
	}
	r, err := ParseRate(s)
	if err != nil {
		l.fail(a.Expr.Range(), "Not a rate", "%s", sentence(err.Error()))
		return nil
	}
	return &r
}
