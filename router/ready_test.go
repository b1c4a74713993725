package router

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// A router whose disk has less than min_free is not ready, says why to who may read,
// and refuses events; and one that ends is not ready either.
func TestNotReadyWithoutSpace(t *testing.T) {
	r := start(t, t.TempDir(), `
store "badger" {
  min_free = "900TiB"
}
`+toStdout, Options{Stdout: &safeBuffer{}})
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- r.Serve(l) }()
	await(t, "the listener", func() bool { err := r.Ready(); return err != nil && err.Error() != "the listener is not up" })
	if err := r.Ready(); !errors.Is(err, store.ErrFull) {
		t.Errorf("it is %v", err)
	}
	// Over the network: an app that serves must not be asked beside it.
	base := "http://" + l.Addr().String()
	if got := ask(t, "GET", base+"/readyz", ""); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "space") {
		t.Errorf("readyz: %d %s", got.status, got.body)
	}
	if got := ask(t, "GET", base+"/healthz", ""); got.status != http.StatusOK {
		t.Errorf("healthz: %d %s", got.status, got.body)
	}
	if got := ask(t, "POST", base+"/events", `{"event":"a","data":1}`, event.Field{Name: "Content-Type", Value: "application/json"}); got.status != http.StatusInsufficientStorage || !strings.Contains(got.body, "disk_full") {
		t.Errorf("an event: %d %s", got.status, got.body)
	}
	series, _ := scrape(t, r)
	if series["weir_ready"] != 0 || series["weir_store_free_bytes"] >= series["weir_store_min_free_bytes"] || series[`weir_events_rejected_total{reason="disk_full",source="events"}`] != 1 {
		t.Errorf("ready %v with %v of %v", series["weir_ready"], series["weir_store_free_bytes"], series["weir_store_min_free_bytes"])
	}
	shut(t, r)
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("after its end it is %v", err)
	}
}

// One that is ready stays so while it reloads, and its metrics say so.
func TestReadyWhileReloading(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, toStdout, Options{Stdout: &safeBuffer{}})
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- r.Serve(l) }()
	await(t, "it to be ready", func() bool { return r.Ready() == nil })
	r.compiling(0, 3) // as a reload with new plugins tells
	if err := r.Ready(); err != nil {
		t.Errorf("it is %v", err)
	}
	if series, _ := scrape(t, r); series["weir_ready"] != 1 {
		t.Error("the metrics say that it is not ready")
	}
	shut(t, r)
	if err := <-served; err != nil {
		t.Error(err)
	}
}
