package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// payload is one of GitHub's examples.
type payload struct {
	event string
	body  []byte
}

// readPayloads reads the npm package's list: every event name with its examples.
func readPayloads(path string) ([]payload, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: install them with make deps", err)
	}
	var list []struct {
		Name     string
		Examples []json.RawMessage
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []payload
	for _, l := range list {
		for _, example := range l.Examples {
			all = append(all, payload{event: l.Name, body: example})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no examples", path)
	}
	return all, nil
}

// pause spreads the webhooks a little, so that one can watch.
const pause = 5 * time.Millisecond

// refusals is what became of two webhooks that should not be stored.
type refusals struct {
	again, stranger string
}

// send posts every payload as GitHub does. One is sent twice, and one with a
// wrong signature.
func (t *tour) send(ctx context.Context, all []payload) error {
	var first string
	for i, p := range all {
		id := deliveryID()
		status, answer, err := t.post(ctx, p, id, sign(t.secret, p.body))
		if err != nil {
			return err
		}
		if status != http.StatusAccepted || answer.Status != "accepted" {
			return fmt.Errorf("%s %s was answered %d %s", p.event, id, status, answer.Status)
		}
		t.accepted[answer.EventID] = p
		if i == 0 {
			first = id
		}
		time.Sleep(pause)
	}
	status, answer, err := t.post(ctx, all[0], first, sign(t.secret, all[0].body))
	if err != nil {
		return err
	}
	if status != http.StatusAccepted || answer.Status != "duplicate" {
		return fmt.Errorf("an event that was sent again was answered %d %s", status, answer.Status)
	}
	t.refused.again = fmt.Sprint(status, " ", answer.Status)
	status, answer, err = t.post(ctx, all[0], deliveryID(), sign("somebody else's", all[0].body))
	if err != nil {
		return err
	}
	if status != http.StatusUnauthorized {
		return fmt.Errorf("a wrong signature was answered %d", status)
	}
	t.refused.stranger = fmt.Sprint(status, " ", answer.Code)
	return nil
}

func (t *tour) sayRefusals() {
	t.say("")
	t.say("answered 202, each after it was on disk: %d", len(t.accepted))
	t.say("one of them sent again, as GitHub does by hand: %s, stored once", t.refused.again)
	t.say("one signed by somebody else: %s", t.refused.stranger)
}

type answer struct {
	EventID string `json:"event_id"`
	Status  string `json:"-"`
	Code    string `json:"code"`
}

// UnmarshalJSON takes both answers: in a problem, status is a number.
func (a *answer) UnmarshalJSON(b []byte) error {
	var raw struct {
		EventID string `json:"event_id"`
		Status  any    `json:"status"`
		Code    string `json:"code"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	a.EventID, a.Code = raw.EventID, raw.Code
	a.Status, _ = raw.Status.(string)
	return nil
}

func (t *tour) post(ctx context.Context, p payload, id, signature string) (int, answer, error) {
	var a answer
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.address+"/in/github", bytes.NewReader(p.body))
	if err != nil {
		return 0, a, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "GitHub-Hookshot/tour")
	req.Header.Set("X-GitHub-Event", p.event)
	req.Header.Set("X-GitHub-Delivery", id)
	req.Header.Set("X-Hub-Signature-256", signature)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, a, fmt.Errorf("%w (%v)", err, t.alive())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, a, err
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return res.StatusCode, a, fmt.Errorf("the router answered %d %q: %w", res.StatusCode, body, err)
	}
	return res.StatusCode, a, nil
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// deliveryID is a UUID, as GitHub's are.
func deliveryID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
