package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/api"
)

// What lists print, and what the dashboard's forms take, can be said to --since.
func TestTimesOfFlags(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-02-03T04:05:06+01:00": "2026-02-03T03:05:06Z", "2026-02-03 04:05:06.789Z": "2026-02-03T04:05:06.789Z",
		"2026-02-03 04:05:06": "2026-02-03T04:05:06Z", "2026-02-03 04:05": "2026-02-03T04:05:00Z", "2026-02-03": "2026-02-03T00:00:00Z",
		"90s": "2026-03-01T11:58:30Z", "1d": "2026-02-28T12:00:00Z",
	} {
		if got, err := when(text, now); err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %s, want %s (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{"", "yesterday", "2026-02-30", "-2h", "04:05"} {
		if got, err := when(text, now); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func listed(t *testing.T, dir string, args ...string) api.DeliveryList {
	t.Helper()
	var list api.DeliveryList
	if err := json.Unmarshal([]byte(mustRun(t, dir, append(args, "-o", "json")...)), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// What a receiver keeps hanging is sending, and is found by that; what an event led
// to is ended and sent again together.
func TestDeliveriesOfEvents(t *testing.T) {
	answer := make(chan bool)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-answer:
		case <-r.Context().Done():
		}
	}))
	defer receiver.Close()
	r, config := configured(t, fmt.Sprintf(`
destination "slow" {
  url     = %q
  timeout = "1m"
}
destination "gone" {
  url = "http://127.0.0.1:1/"
  retry {
    schedule = ["0s"]
  }
}
destination "later" {
  url = "http://127.0.0.1:1/"
  retry {
    schedule = ["0s", "1h"]
  }
}
route "slow" {
  events = ["slow.*"]
  to     = [destination.slow]
}
route "others" {
  events = ["order.*"]
  to     = [destination.gone, destination.later]
}
`, receiver.URL))
	dir := filepath.Dir(config)

	for i := range 3 {
		mustRun(t, dir, "send", "--type", fmt.Sprintf("slow.%d", i), "--id", fmt.Sprintf("slow-%d", i))
	}
	sending := func(args ...string) []api.Delivery {
		return listed(t, dir, append([]string{"deliveries", "ls", "--status", "sending"}, args...)...).Deliveries
	}
	eventually(t, "all to be sent", func() bool { return len(sending()) == 3 })
	if all := sending(); all[0].EventID != "slow-2" || all[2].EventID != "slow-0" || all[0].Status != "sending" {
		t.Errorf("%+v", all)
	}
	for args, want := range map[string]int{
		"--type slow.1": 1, "--destination slow": 3, "--destination gone": 0, "--source events": 3, "--source other": 0,
		"--tenant acme": 0, "--since 1h": 3, "--until 1h": 0, "--limit 2": 2,
	} {
		if got := sending(strings.Fields(args)...); len(got) != want {
			t.Errorf("%s gives %d, want %d", args, len(got), want)
		}
	}
	_, page := get(t, r.base+"/api/deliveries?status=sending&limit=2")
	_, rest := get(t, r.base+"/api/deliveries?status=sending&limit=2&cursor="+page["next"].(string))
	if last := rest["deliveries"].([]any); len(last) != 1 || last[0].(map[string]any)["event_id"] != "slow-0" || rest["next"] != nil {
		t.Errorf("the second page is %v", rest)
	}
	// So are their events, each once.
	_, page = get(t, r.base+"/api/events?status=sending&limit=2")
	_, rest = get(t, r.base+"/api/events?status=sending&limit=2&type=slow.*&cursor="+page["next"].(string))
	first, last := page["events"].([]any), rest["events"].([]any)
	if len(first) != 2 || first[0].(map[string]any)["id"] != "slow-2" || len(last) != 1 || last[0].(map[string]any)["id"] != "slow-0" || rest["next"] != nil {
		t.Errorf("the pages of events are %v and %v", page, rest)
	}
	if status, body := get(t, r.base+"/api/events?status=sending&text=x"); status != 400 || body["code"] != "bad_parameter" {
		t.Errorf("%d %v", status, body)
	}
	if out := mustRun(t, dir, "events", "ls", "--status", "sending", "--destination", "gone", "-o", "json"); !strings.Contains(out, `"events": []`) {
		t.Errorf("the events are %s", out)
	}
	if status, body := get(t, r.base+"/api/deliveries?status=sending&cursor=x"); status != 400 || body["code"] != "bad_cursor" {
		t.Errorf("%d %v", status, body)
	}
	close(answer)
	eventually(t, "them to be delivered", func() bool { return len(sending()) == 0 })

	mustRun(t, dir, "send", "--type", "order.paid", "--id", "o-1")
	mustRun(t, dir, "send", "--type", "order.paid", "--id", "o-2")
	states := func(event string) string {
		var words []string
		for _, d := range listed(t, dir, "deliveries", "ls", "--type", "order.*").Deliveries {
			if d.EventID == event {
				words = append(words, d.Status)
			}
		}
		return strings.Join(words, " ")
	}
	settled := func() bool { return states("o-1") == "retrying dead" && states("o-2") == "retrying dead" }
	eventually(t, "the attempts", settled)
	var dead api.DeadLetterList
	if err := json.Unmarshal([]byte(mustRun(t, dir, "dead-letters", "ls", "--limit", "1", "-o", "json")), &dead); err != nil || dead.Total != 2 || len(dead.DeadLetters) != 1 {
		t.Errorf("%+v %v", dead, err)
	}
	if got := listed(t, dir, "events", "cancel", "o-1").Deliveries; len(got) != 2 || states("o-1") != "cancelled cancelled" {
		t.Errorf("cancelled %+v", got)
	}
	if out, errOut, code := weir(t, dir, "events", "cancel", "o-1"); code != 0 || out != "" || !strings.Contains(errOut, "Nothing is cancelled") {
		t.Errorf("cancelled again: %d %s%s", code, out, errOut)
	}
	if got := listed(t, dir, "events", "retry", "o-1").Deliveries; len(got) != 2 {
		t.Errorf("retried %+v", got)
	}
	eventually(t, "the attempts", settled)
	if got := listed(t, dir, "deliveries", "retry", "--status", "dead", "--destination", "gone").Deliveries; len(got) != 2 {
		t.Errorf("retried by filter: %+v", got)
	}
	eventually(t, "the attempts", settled)

	// One that is paused gets nothing by a retry, and who retries is told.
	mustRun(t, dir, "destinations", "pause", "gone")
	var deads api.DeadLetterList
	if err := json.Unmarshal([]byte(mustRun(t, dir, "dead-letters", "ls", "--destination", "gone", "-o", "json")), &deads); err != nil || len(deads.DeadLetters) != 2 {
		t.Fatalf("%+v %v", deads, err)
	}
	for _, step := range []struct {
		says  string
		count int
		args  []string
	}{
		{"to be sent again", 1, []string{"dead-letters", "retry", deads.DeadLetters[0].ID}},
		{"to be sent again", 1, []string{"destinations", "recover", "gone", "--since", "1d"}},
		{"due now", 2, []string{"deliveries", "retry", "--status", "retrying", "--destination", "gone"}},
	} {
		if out, errOut, code := weir(t, dir, step.args...); code != 0 || strings.Count(out, step.says) != step.count ||
			strings.Count(errOut, "gone is paused: nothing is sent before weir destinations resume gone") != 1 {
			t.Errorf("%v while it is paused: %d %s%s", step.args, code, out, errOut)
		}
	}
	// Who searches in vain is told where it was looked.
	if out, errOut, code := weir(t, dir, "events", "ls", "--text", "no-such-text"); code != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(errOut, "No event fits, of 5 that were received from 20") {
		t.Errorf("searched in vain: %d %s%s", code, out, errOut)
	}
	// It is said, too, where there was nothing to look at.
	if _, found := get(t, r.base+"/api/events?text=x&status=dead"); found["searched"] == nil {
		t.Errorf("a search in vain for what is dead: %v", found)
	}
	if _, errOut, _ := weir(t, dir, "events", "ls", "--text", "o-1"); errOut != "" {
		t.Errorf("found, and still %s", errOut)
	}
	if _, errOut, code := weir(t, dir, "events", "retry", "nobody"); code != 1 || !strings.Contains(errOut, "event_not_found") {
		t.Error(code, errOut)
	}
}
