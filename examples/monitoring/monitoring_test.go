// Package monitoring holds the alerts and the dashboard beside it against what a
// router exports.
package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/weirhq/weir/router"
	"github.com/weirhq/weir/router/config"
)

// exported are the series of a router to which everything has happened that is
// counted: their names, each with its labels and the values that those have.
type exported map[string]map[string][]string

// scrape runs a router until it has sent, failed, refused and called a plugin.
func scrape(t *testing.T) exported {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Webhook-Event") == "bad" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer receiver.Close()
	module, err := filepath.Abs("../../plugins/abi/testdata/set-all.wasm")
	if err != nil {
		t.Fatal(err)
	}
	c, report := config.Parse("router.hcl", fmt.Appendf(nil, `
plugin "p" {
  wasm = %q
}
source "github" {
  verify "github" {
    secrets = ["a-secret-of-the-test"]
  }
}
destination "crm" {
  url = %q
  retry {
    schedule = ["0s"]
  }
}
route "all" {
  through = [plugin.p]
  to      = [destination.crm]
}
`, module, receiver.URL), config.Options{Dir: t.TempDir()})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	r, err := router.New(t.Context(), c, router.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	for _, kind := range []string{"good", "bad"} {
		if _, err := r.Publish(t.Context(), router.Event{Type: kind, Data: []byte(`{"n":1}`)}); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(method, path string) string {
		t.Helper()
		res, err := r.Handler().Test(httptest.NewRequest(method, "http://localhost"+path, strings.NewReader("")), -1)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if answer := ask(http.MethodPost, "/in/github"); !strings.Contains(answer, "signature_missing") {
		t.Fatal(answer)
	}
	text := ""
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		text = ask(http.MethodGet, "/metrics")
		if strings.Contains(text, `weir_deliveries_total{destination="crm",outcome="dead"} 1`) &&
			strings.Contains(text, `weir_deliveries_total{destination="crm",outcome="delivered"} 1`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the deliveries do not end:\n%s", text)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all := exported{"up": {}}
	for name, f := range families {
		labels := map[string][]string{}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
			}
		}
		all[name] = labels
		if f.Metric[0].Histogram != nil {
			all[name+"_bucket"] = map[string][]string{"le": nil}
			for l, v := range labels {
				all[name+"_bucket"][l] = v
			}
		}
		if f.Metric[0].Histogram != nil || f.Metric[0].Summary != nil {
			all[name+"_sum"], all[name+"_count"] = labels, labels
		}
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b(?:weir|go|process)_[a-z_]+\b|\bup\b`)
	selector   = regexp.MustCompile(`\b((?:weir|go|process)_[a-z_]+|up)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping   = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// scraped are the labels that Prometheus adds.
var scraped = []string{"instance", "job"}

// check looks at one query, and counts the metrics in it.
func (x exported) check(t *testing.T, where, query string) (n int) {
	t.Helper()
	known := slices.Clone(scraped)
	for _, name := range metricName.FindAllString(query, -1) {
		n++
		labels, ok := x[name]
		if !ok {
			t.Errorf("%s: no router exports %s", where, name)
		}
		for l := range labels {
			known = append(known, l)
		}
	}
	for _, s := range selector.FindAllStringSubmatch(query, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			values, ok := x[s[1]][m[1]]
			if !ok && !slices.Contains(scraped, m[1]) {
				t.Errorf("%s: %s has no label %s", where, s[1], m[1])
			}
			if m[1] == "outcome" && !slices.Contains(values, m[3]) {
				t.Errorf("%s: %s never has %s", where, s[1], m[0])
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for _, l := range strings.Split(g[1], ",") {
			if l = strings.TrimSpace(l); !slices.Contains(known, l) {
				t.Errorf("%s: nothing in it has the label %s", where, l)
			}
		}
	}
	return n
}

// Every query of the dashboard and of the alerts is made of metrics and labels that
// a router exports, and every metric of a router's own is shown.
func TestQueries(t *testing.T) {
	all := scrape(t)
	dashboard, err := os.ReadFile("grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal(dashboard, &d); err != nil {
		t.Fatal(err)
	}
	queries, ids := 0, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		for _, q := range p.Targets {
			queries++
			if all.check(t, "panel "+p.Title, q.Expr) == 0 {
				t.Errorf("panel %s asks for nothing", p.Title)
			}
		}
	}
	for _, v := range d.Templating.List {
		all.check(t, "variable "+v.Name, v.Definition)
	}
	for _, a := range d.Annotations.List {
		all.check(t, "annotation", a.Expr)
	}
	if queries < 20 {
		t.Errorf("only %d queries were found", queries)
	}
	for name := range all {
		family := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if strings.HasPrefix(name, "weir_") && !strings.Contains(string(dashboard), family) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
	for _, file := range []string{"rules.yml", "rules_test.yml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.SplitSeq(string(text), "\n") {
			if strings.Contains(line, "summary:") || strings.Contains(line, "description:") || strings.Contains(line, "name:") {
				continue
			}
			n += all.check(t, file, line)
		}
		if n < 10 {
			t.Errorf("%s: only %d metrics were found", file, n)
		}
	}
}

var heading = regexp.MustCompile(`(?m)^### (Weir\w+)$`)

var alertName = regexp.MustCompile(`(?m)^\s+- alert: (\w+)$`)

// Each alert comes when it should and not else, by Prometheus itself; the
// operator's guide says what to do about it.
func TestAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed (Debian: apt install --no-install-recommends prometheus)")
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "rules_test.yml"}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	rules, err := os.ReadFile("rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	names := alertName.FindAllStringSubmatch(string(rules), -1)
	for _, m := range names {
		// One test holds it silent, another has it come.
		if n := len(regexp.MustCompile(`alertname: `+m[1]+`\b`).FindAllString(string(tests), -1)); n < 2 {
			t.Errorf("%s has %d tests", m[1], n)
		}
		if !strings.Contains(string(guide), "\n### "+m[1]+"\n") {
			t.Errorf("docs/operations.md does not say what %s means", m[1])
		}
	}
	for _, m := range heading.FindAllStringSubmatch(string(guide), -1) {
		if !strings.Contains(string(rules), "- alert: "+m[1]+"\n") {
			t.Errorf("docs/operations.md has a section on %s, which is no alert", m[1])
		}
	}
	if len(names) < 8 {
		t.Errorf("only %d alerts were found", len(names))
	}
}
