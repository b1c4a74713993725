package routing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
)

func webhookTable(t testing.TB, w *Webhooks) *Table {
	t.Helper()
	c, report := config.Parse("router.hcl", nil, config.Options{Dir: t.TempDir()})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	return NewTable(c, nil).WithWebhooks(w)
}

func lanesOf(t *testing.T, table *Table, e *event.Event) string {
	t.Helper()
	d, err := table.Route(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	var lanes []string
	for _, x := range d.Routing.Deliveries {
		lanes = append(lanes, x.Lane)
	}
	return strings.Join(lanes, " ")
}

func TestWebhooksMatch(t *testing.T) {
	w := &Webhooks{}
	filter, err := expr.Parse("event.data.n == 1", expr.EventScope)
	if err != nil {
		t.Fatal(err)
	}
	w.Set("wh_c", []*Rule{{From: 1, Events: []string{"order.*", "order.paid"}}})
	w.Set("wh_a", []*Rule{{From: 1, Events: []string{"*.paid"}}, {From: 5, Off: true}})
	w.Set("wh_b", []*Rule{{From: 3, Tenant: "acme", Events: []string{"*"}}})
	w.Set("wh_d", []*Rule{{From: 1, Events: []string{"order.paid"}, Filter: filter}})
	table := webhookTable(t, w)
	for _, c := range []struct {
		position     uint64
		kind, tenant string
		source, want string
	}{
		{1, "order.paid", "", "events", "wh_a wh_c wh_d"},
		{1, "order.paid", "acme", "events", "wh_a wh_c wh_d"},
		{3, "order.paid", "acme", "events", "wh_a wh_b wh_c wh_d"},
		{3, "order.paid", "other", "events", "wh_a wh_c wh_d"},
		{5, "order.made", "acme", "events", "wh_b wh_c"},
		{5, "x", "", "events", ""},
		{5, "order.paid", "", "another", ""},
		{5, "weir.delivery.dead", "acme", "weir", ""},
	} {
		e := &event.Event{ID: "e", Position: c.position, Type: c.kind, Tenant: c.tenant, Source: c.source, ContentType: "application/json", Data: []byte(`{"n":1}`)}
		if got := lanesOf(t, table, e); got != c.want {
			t.Errorf("%+v goes to %q", c, got)
		}
		for _, id := range []string{"wh_a", "wh_b", "wh_c", "wh_d"} {
			v, ok := table.ExplainWebhook(e, id)
			if !ok || v.Matched != strings.Contains(c.want, id) || v.Matched != (v.Reason == "") {
				t.Errorf("%+v: %s is explained as %+v", c, id, v)
			}
		}
	}
	w.Set("wh_c", nil)
	w.Set("wh_d", nil)
	if _, ok := table.ExplainWebhook(&event.Event{}, "wh_c"); ok {
		t.Error("a webhook that is gone is explained")
	}
}

// The index says what trying every webhook says, whatever came and went.
func TestWebhooksMatchAsAScanWould(t *testing.T) {
	w := &Webhooks{}
	table := webhookTable(t, w)
	patterns := []string{"*", "a", "a.*", "a.b", "*.b", "a*b", "b.*", "", "ab*"}
	types := []string{"a", "a.b", "b.b", "ab", "axb", "c"}
	tenants := []string{"", "x", "y"}
	all := map[string]*Rule{}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	for range 3000 {
		id := fmt.Sprintf("wh_%02d", r.IntN(40))
		if r.IntN(3) == 0 {
			w.Set(id, nil)
			delete(all, id)
		} else {
			rule := &Rule{From: 1, Tenant: pick(tenants), Events: []string{pick(patterns), pick(patterns)}}
			w.Set(id, []*Rule{rule})
			all[id] = rule
		}
		e := &event.Event{ID: "e", Position: 1, Type: pick(types), Tenant: pick(tenants), Source: "events"}
		var want []string
		for id, rule := range all {
			if (rule.Tenant == "" || rule.Tenant == e.Tenant) && matchAny(rule.Events, e.Type) {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		if got := lanesOf(t, table, e); got != strings.Join(want, " ") {
			t.Fatalf("%s of %q goes to %q, want %v", e.Type, e.Tenant, got, want)
		}
	}
}

func BenchmarkRouteToOneOfTenThousandWebhooks(b *testing.B) {
	w := &Webhooks{}
	for i := range 10000 {
		w.Set(fmt.Sprintf("wh_%05d", i), []*Rule{{From: 1, Events: []string{fmt.Sprintf("tenant%d.*", i), fmt.Sprintf("order.%d", i)}}})
	}
	table := webhookTable(b, w)
	e := &event.Event{ID: "e", Position: 1, Type: "order.5000", Source: "events", ContentType: "application/json", Data: []byte(`{"n":1}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.Route(context.Background(), e); err != nil {
			b.Fatal(err)
		}
	}
}
