// A receiver of webhooks: it verifies, deduplicates by webhook-id and answers at
// once.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tolerance = 5 * time.Minute
	maxBody   = 8 << 20
	remember  = 100_000 // ids
)

type event struct {
	id   string
	body []byte
}

type receiver struct {
	key   []byte
	queue chan event

	mu    sync.Mutex
	seen  map[string]bool
	order []string // of seen, the oldest first
}

func main() {
	key, err := signingKey(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	addr := os.Getenv("ADDR")
	if addr == "" {
		addr = "127.0.0.1:9000"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	r := &receiver{key: key, queue: make(chan event, 1000), seen: map[string]bool{}}
	go r.work()
	server := &http.Server{Handler: r, ReadTimeout: 30 * time.Second}
	log.Fatal(server.Serve(l))
}

// work does what takes long.
func (r *receiver) work() {
	for e := range r.queue {
		fmt.Printf("done %s %d bytes\n", e.id, len(e.body))
	}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
	if err != nil {
		http.Error(w, "the body can't be read", http.StatusBadRequest)
		return
	}
	id := q.Header.Get("webhook-id")
	if !verified(r.key, id, q.Header.Get("webhook-timestamp"), q.Header.Get("webhook-signature"), body, time.Now()) {
		http.Error(w, "the signature does not match", http.StatusUnauthorized)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[id] {
		w.WriteHeader(http.StatusNoContent) // it is here already: that is success
		return
	}
	select {
	case r.queue <- event{id, body}:
	default:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "the queue is full", http.StatusServiceUnavailable)
		return
	}
	r.seen[id] = true
	if r.order = append(r.order, id); len(r.order) > remember {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
	w.WriteHeader(http.StatusNoContent)
}

// signingKey is what follows whsec_, decoded, or the literal bytes of a secret
// without it.
func signingKey(secret string) ([]byte, error) {
	if secret == "" {
		return nil, errors.New("set WEBHOOK_SECRET")
	}
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return []byte(secret), nil
	}
	return base64.StdEncoding.DecodeString(encoded)
}

// verified checks webhook-signature: while a secret is rotated it lists several.
func verified(key []byte, id, timestamp, signatures string, body []byte, now time.Time) bool {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || id == "" || now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for given := range strings.SplitSeq(signatures, " ") {
		if hmac.Equal([]byte(given), want) {
			return true
		}
	}
	return false
}
