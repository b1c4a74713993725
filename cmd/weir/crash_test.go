package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt/receiver"
)

const crashRounds = 25

// TestKill kills the router at random moments under load and starts it again on
// the same store. Every event that was answered 202 must be in the receiver's
// own log; one that is there more than once must carry the same webhook-id and
// the same bytes each time.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	seen := &arrivals{}
	rec, err := receiver.Start(receiver.Options{Log: filepath.Join(dir, "receiver.jsonl"), Secret: "crash-test-secret-0123456789", Arrived: seen.add})
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
destination "sink" {
  url    = "%s/"
  secret = "crash-test-secret-0123456789"
  retry {
    schedule = ["0s", "200ms", "200ms", "500ms", "1s", "2s", "5s", "10s"]
  }
}
route "all" {
  to = [destination.sink]
}
`, address, rec.URL()))

	accepted := map[string]bool{}
	var mu sync.Mutex
	killRounds(t, config, address, crashRounds, 400*time.Millisecond, func(base string, round, producer, i int) {
		body := fmt.Sprintf(`{"event":"crash.test","data":{"round":%d,"producer":%d,"i":%d,"pad":%q}}`,
			round, producer, i, strings.Repeat("x", rand.IntN(2000)))
		if i%2 == 0 {
			body = fmt.Sprintf(`{"event":"crash.test","event_id":"given-%d-%d-%d","data":{"i":%d}}`, round, producer, i, i)
		}
		if id := tryPost(base+"/events", body); id != "" {
			mu.Lock()
			accepted[id] = true
			mu.Unlock()
		}
	})
	if len(accepted) < crashRounds*10 {
		t.Fatalf("only %d events were accepted in %d rounds: this proves little", len(accepted), crashRounds)
	}

	r := serveFile(t, config, address)
	missing := func() (n int, example string) {
		got := seen.byEvent()
		for id := range accepted {
			if len(got[id]) == 0 {
				n, example = n+1, id
			}
		}
		return n, example
	}
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); {
		if n, _ := missing(); n == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if n, example := missing(); n > 0 {
		t.Errorf("%d of %d accepted events never reached the receiver, such as %s", n, len(accepted), example)
	}
	got := seen.byEvent()
	for id, list := range got {
		for _, a := range list {
			if a.Signature != receiver.SignatureVerified {
				t.Errorf("%s: %s: %s", id, a.Signature, a.Problem)
			}
		}
	}
	twice := sameEachTime(t, got)
	t.Logf("%d rounds, %d events answered 202, %d reached the receiver more than once", crashRounds, len(accepted), twice)
	awaitDeliveries(t, r.base)
	r.stop(t)
}

// killRounds starts a router again and again, has eight clients at work with it, and
// kills it at a random moment, most after the first 50 milliseconds.
func killRounds(t *testing.T, config, address string, rounds int, most time.Duration, work func(base string, round, client, i int)) {
	t.Helper()
	for round := range rounds {
		r := serveFile(t, config, address)
		var stop atomic.Bool
		var clients sync.WaitGroup
		for client := range 8 {
			clients.Go(func() {
				for i := 0; !stop.Load(); i++ {
					work(r.base, round, client, i)
				}
			})
		}
		time.Sleep(50*time.Millisecond + rand.N(most))
		r.kill()
		stop.Store(true)
		clients.Wait()
	}
}

// sameEachTime checks that an event that arrived more than once had the same
// webhook-id and bytes each time. It gives how many did.
func sameEachTime(t *testing.T, byEvent map[string][]receiver.Arrival) (twice int) {
	t.Helper()
	for id, list := range byEvent {
		for _, a := range list {
			if a.WebhookID != list[0].WebhookID {
				t.Errorf("%s came with the webhook-ids %s and %s", id, list[0].WebhookID, a.WebhookID)
			}
			if a.Body != list[0].Body {
				t.Errorf("%s came with two bodies", id)
			}
		}
		if len(list) > 1 {
			twice++
		}
	}
	return twice
}

// awaitDeliveries waits until none is left to be made.
func awaitDeliveries(t *testing.T, base string) {
	t.Helper()
	await(t, "all deliveries to be recorded", func() bool {
		for _, status := range []string{"waiting", "retrying"} {
			if _, list := get(t, base+"/api/deliveries?limit=1&status="+status); len(list["deliveries"].([]any)) > 0 {
				return false
			}
		}
		return true
	})
}

// tryPost returns the event's id if the answer was 202, and "" if there was
// none, as happens when the router is killed.
func tryPost(url, body string) string {
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		time.Sleep(time.Millisecond)
		return ""
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		return ""
	}
	return eventIDFrom(res)
}
