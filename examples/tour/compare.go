package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
)

// log is what a receiver wrote down.
type log struct {
	attempts, verified int
	// tries and taken are by webhook-id: how often it came, and how often it was
	// answered 2xx with good signatures.
	tries, taken map[string]int
}

func (t *tour) readLogs() (map[string]*log, error) {
	all := map[string]*log{}
	for _, r := range t.receivers {
		l, err := readLog(r.log)
		if err != nil {
			return nil, err
		}
		all[r.name] = l
	}
	return all, nil
}

func readLog(path string) (*log, error) {
	l := &log{tries: map[string]int{}, taken: map[string]int{}}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return l, nil // nothing has arrived yet
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var a struct {
			WebhookID string `json:"webhook_id"`
			Verified  bool   `json:"verified"`
			Status    int    `json:"status"`
		}
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		l.attempts++
		l.tries[a.WebhookID]++
		if a.Verified {
			l.verified++
			if a.Status/100 == 2 {
				l.taken[a.WebhookID]++
			}
		}
	}
	return l, lines.Err()
}

// compare prints, for each receiver, what the API says beside what the receiver
// wrote down, and reports whether the two are the same, delivery by delivery.
func (t *tour) compare(s *seen) (bool, error) {
	logs, err := t.readLogs()
	if err != nil {
		return false, err
	}
	same := true
	differ := func(format string, args ...any) {
		same = false
		t.say("DIFFERENT: "+format, args...)
	}
	if len(s.events) != len(t.accepted) {
		differ("%d events were answered 202, the API lists %d", len(t.accepted), len(s.events))
	}
	for id := range t.accepted {
		if s.events[id] == nil {
			differ("%s was answered 202, and the API does not list it", id)
		}
	}
	t.say("")
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "receiver\tdelivered\tattempts\trecovered\t")
	for _, r := range t.receivers {
		l := logs[r.name]
		var delivered, attempts, recovered int
		for _, x := range s.events {
			for _, route := range x.Routes {
				for _, d := range route.Deliveries {
					if d.Destination != r.name {
						continue
					}
					attempts += len(d.Attempts)
					if l.tries[d.WebhookID] != len(d.Attempts) {
						differ("%s: the API has %d attempts of %s, the receiver saw %d", r.name, len(d.Attempts), d.WebhookID, l.tries[d.WebhookID])
					}
					if d.Status != "delivered" {
						differ("%s: %s is %s", r.name, d.WebhookID, d.Status)
						continue
					}
					delivered++
					if len(d.Attempts) > 1 {
						recovered++
					}
					if l.taken[d.WebhookID] != 1 {
						differ("%s: the receiver took %s %d times", r.name, d.WebhookID, l.taken[d.WebhookID])
					}
				}
			}
		}
		logRecovered := 0
		for id := range l.taken {
			if l.tries[id] > 1 {
				logRecovered++
			}
		}
		mark := "same"
		if delivered != len(l.taken) || attempts != l.attempts || recovered != logRecovered || l.verified != l.attempts || delivered == 0 {
			mark = "DIFFERENT"
			same = false
		}
		if r.fail > 0 && recovered == 0 {
			mark = "DIFFERENT: nothing had to recover"
			same = false
		}
		fmt.Fprintf(w, "%s\t%d by the API, %d by its log\t%d, %d (%d verified)\t%d, %d\t%s\n",
			r.name, delivered, len(l.taken), attempts, l.attempts, l.verified, recovered, logRecovered, mark)
	}
	if err := w.Flush(); err != nil {
		return false, err
	}
	c := s.counts()
	if c.dropped == 0 || c.changed == 0 {
		differ("the filter dropped %d and the transform changed %d; both should be some", c.dropped, c.changed)
	}
	if c.failed > 0 {
		differ("%d calls of plugins failed", c.failed)
	}
	return same, nil
}
