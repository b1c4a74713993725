package config

import (
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/weirhq/weir/router/expr"
)

// Defaults of a destination's lane.
const (
	DefaultBreakerFailures = 50
	DefaultBreakerCooldown = 5 * time.Second
)

// Lane is how a destination's queue treats its receiver, beside the schedule.
type Lane struct {
	// Rate is the most attempts in a time; the zero value is no bound.
	Rate Rate
	// BreakerFailures is how many failed attempts in a row stop the lane, and
	// BreakerCooldown how long it then waits before each probe.
	BreakerFailures int
	BreakerCooldown time.Duration
	// DisableAfter disables the destination once it had no success for that long,
	// 0 never.
	DisableAfter time.Duration
	// OrderBy gives the key whose deliveries follow one another, nil for no order;
	// OrderAll makes the whole lane one key.
	OrderBy  *expr.Program
	OrderAll bool
	// ReplyType makes each 2xx body an event of that type, empty: none.
	ReplyType string
	// MaxAge ends deliveries whose event is older, 0 where only the store's does.
	MaxAge time.Duration
}

var breakerSchema = schema{attributes: []string{"failures", "cooldown"}}

func defaultLane() Lane {
	return Lane{BreakerFailures: DefaultBreakerFailures, BreakerCooldown: DefaultBreakerCooldown}
}

// lane reads what a destination or the defaults say of the lane. What b does not
// say stays as it is.
func (l *loader) lane(b *hclsyntax.Block, d *Lane) {
	if a := attribute(b, "rate"); a != nil {
		if r := l.rate(a); r != nil {
			d.Rate = *r
		}
	}
	if a := attribute(b, "order_by"); a != nil {
		l.orderBy(b, a, d)
	}
	if a := attribute(b, "reply_type"); a != nil {
		if v, ok := l.text(a); ok {
			d.ReplyType = v
			switch {
			case strings.HasPrefix(v, "weir."):
				l.fail(a.Expr.Range(), "Reserved type", "Types that begin with \"weir.\" are the router's own.")
			case v == "" || len(v) > 200 || strings.ContainsFunc(v, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }):
				l.fail(a.Expr.Range(), "Not a type", `A type is like "order.priced": at most 200 bytes, without white space.`)
			}
		}
	}
	d.DisableAfter = l.duration(attribute(b, "disable_after"), d.DisableAfter, time.Second, 365*24*time.Hour)
	d.MaxAge = l.duration(attribute(b, "max_age"), d.MaxAge, time.Second, max(DefaultMaxAge, l.config.Store.MaxAge))
	var breaker []*hclsyntax.Block
	for _, x := range b.Body.Blocks {
		if x.Type == "breaker" {
			breaker = append(breaker, x)
		}
	}
	if len(breaker) == 0 {
		return
	}
	l.onlyOne(breaker)
	l.noLabels(breaker[0])
	l.check(breaker[0].Body, breakerSchema, "breaker")
	d.BreakerFailures = l.integer(attribute(breaker[0], "failures"), d.BreakerFailures, 1, 1_000_000)
	d.BreakerCooldown = l.duration(attribute(breaker[0], "cooldown"), d.BreakerCooldown, 10*time.Millisecond, 24*time.Hour)
}

// orderBy reads an expression on events, or a value that is fixed at load and then says
// whether the whole lane is in order.
func (l *loader) orderBy(b *hclsyntax.Block, a *hclsyntax.Attribute, d *Lane) {
	for _, t := range a.Expr.Variables() {
		if !isValueRoot(t.RootName()) {
			d.OrderBy, d.OrderAll = l.program(b, a.Name, expr.EventScope), false
			return
		}
	}
	v, ok := l.value(a)
	switch {
	case !ok || v.IsNull(): // as if it were not written
	case v.Type() == cty.Bool:
		d.OrderBy, d.OrderAll = nil, v.True()
	default:
		l.fail(a.Expr.Range(), "Not an order", "Write order_by = true for the whole destination, or an expression such as event.data.customer_id.")
	}
}
