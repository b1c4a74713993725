package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt/receiver"
)

const webhookRounds = 8

// promises are what answers of a router have promised about webhooks and events.
type promises struct {
	mu       sync.Mutex
	there    map[string]bool // webhooks: true for registered ones, false for deleted ones
	arrive   map[string]bool // events that must arrive
	never    map[string]bool // events that must not
	patterns map[string]string
}

// try asks and gives the answer's status and its members, 0 where the router was
// killed meanwhile.
func try(method, url, body string) (int, map[string]any) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		time.Sleep(time.Millisecond)
		return 0, nil
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil
	}
	var answer map[string]any
	if len(b) > 0 && json.Unmarshal(b, &answer) != nil {
		return 0, nil
	}
	return res.StatusCode, answer
}

// live registers a webhook, changes it and perhaps deletes it, with events in
// between, until an answer fails to come.
func (p *promises) live(base, to, name string) {
	note := func(m map[string]bool, key string, v bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		m[key] = v
	}
	send := func(kind, id string) bool {
		status, _ := try("POST", base+"/events", fmt.Sprintf(`{"event":%q,"event_id":%q,"data":{"pad":%q}}`, kind, id, strings.Repeat("x", rand.IntN(500))))
		return status == http.StatusAccepted
	}
	one, two := "one."+name, "two."+name
	if send(one, name+"-early") {
		note(p.never, name+"-early", true)
	}
	status, answer := try("POST", base+"/api/webhooks", fmt.Sprintf(`{"url":%q,"events":[%q]}`, to+"/"+name, one))
	if status != http.StatusCreated {
		return
	}
	id, _ := answer["id"].(string)
	note(p.there, id, true)
	goes := rand.IntN(3) == 0 // it will be deleted: what waits then is cancelled
	if send(one, name+"-1") && !goes {
		note(p.arrive, name+"-1", true)
	}
	if status, _ = try("PATCH", base+"/api/webhooks/"+id, fmt.Sprintf(`{"events":[%q]}`, two)); status != http.StatusOK {
		return
	}
	p.mu.Lock()
	p.patterns[id] = two
	p.mu.Unlock()
	if send(one, name+"-2") {
		note(p.never, name+"-2", true)
	}
	if send(two, name+"-3") && !goes {
		note(p.arrive, name+"-3", true)
	}
	if !goes {
		return
	}
	note(p.there, id, false) // or not, if no answer comes
	if status, _ = try("DELETE", base+"/api/webhooks/"+id, ""); status != http.StatusNoContent {
		p.mu.Lock()
		delete(p.there, id)
		p.mu.Unlock()
		return
	}
	if send(two, name+"-4") {
		note(p.never, name+"-4", true)
	}
}

// TestKillWhileWebhooksComeAndGo kills the router at random moments while webhooks
// are registered, changed and deleted under load. What was answered holds: a 201
// survives, a 204 too, an event that was stored after a change is routed by it and
// one that was stored before is not, and repeated deliveries have the same bytes.
func TestKillWhileWebhooksComeAndGo(t *testing.T) {
	dir := t.TempDir()
	seen := &arrivals{}
	rec, err := receiver.Start(receiver.Options{Log: filepath.Join(dir, "receiver.jsonl"), Arrived: seen.add})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rec.Close(context.Background()) }()
	address := freeAddress(t)
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf(`
server {
  listen = %q
}
store "badger" {
  path     = "data"
  min_free = "64MiB"
}
defaults {
  retry {
    schedule = ["0s", "200ms", "200ms", "500ms", "1s", "2s", "5s", "10s"]
  }
}
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
}
`, address))
	p := &promises{there: map[string]bool{}, arrive: map[string]bool{}, never: map[string]bool{}, patterns: map[string]string{}}
	killRounds(t, config, address, webhookRounds, 550*time.Millisecond, func(base string, round, client, i int) {
		p.live(base, rec.URL(), fmt.Sprintf("%d-%d-%d", round, client, i))
	})
	if len(p.arrive) < 20 || len(p.never) < 20 || len(p.there) < 20 {
		t.Fatalf("%d events to arrive, %d not to, %d webhooks: this proves little", len(p.arrive), len(p.never), len(p.there))
	}
	r := serveFile(t, config, address)
	for id, there := range p.there {
		status, w := try("GET", r.base+"/api/webhooks/"+id, "")
		if want := map[bool]int{true: 200, false: 404}[there]; status != want {
			t.Errorf("webhook %s is answered %d, want %d", id, status, want)
		}
		if pattern := p.patterns[id]; there && pattern != "" && fmt.Sprint(w["events"]) != "["+pattern+"]" {
			t.Errorf("webhook %s takes %v, want %s", id, w["events"], pattern)
		}
	}
	awaitDeliveries(t, r.base)
	got := seen.byEvent()
	for id := range p.arrive {
		if len(got[id]) == 0 {
			t.Errorf("the event %s never arrived", id)
		}
	}
	for id := range p.never {
		if len(got[id]) > 0 {
			t.Errorf("the event %s arrived, and was not to", id)
		}
	}
	twice := sameEachTime(t, got)
	t.Logf("%d rounds: %d webhooks, %d events that had to arrive, %d that had not to, %d arrived more than once", webhookRounds, len(p.there), len(p.arrive), len(p.never), twice)
	r.stop(t)
}
