package router_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/weirhq/weir/router"
	"github.com/weirhq/weir/router/config"
)

// A Go program can hold a router of its own: events that it publishes are on
// disk when Publish returns, and are delivered while the program runs, or when
// it runs again.
func ExampleNew() {
	delivered := make(chan string)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			log.Print(err)
		}
		delivered <- r.Header.Get("X-Webhook-Event") + " " + string(body)
	}))
	defer receiver.Close()
	dir, err := os.MkdirTemp("", "weir-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	c, report := config.Parse("router.hcl", []byte(`
		store "badger" {
		  path = "data"
		}
		destination "crm" {
		  url = "`+receiver.URL+`"
		}
		route "big-orders" {
		  events = ["order.*"]
		  when   = event.data.total > 100
		  to     = [destination.crm]
		}
	`), config.Options{Dir: dir})
	if err := report.Err(); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	r, err := router.New(ctx, c, router.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, total := range []int{80, 120} {
		receipt, err := r.Publish(ctx, router.Event{
			Type: "order.paid",
			ID:   fmt.Sprintf("order-%d", total),
			Data: fmt.Appendf(nil, `{"total":%d}`, total),
			Time: time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC),
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("stored", receipt.EventID)
	}
	fmt.Println(<-delivered)
	if err := r.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// stored order-80
	// stored order-120
	// order.paid {"event_id":"order-120","event":"order.paid","data":{"total":120},"timestamp":"2024-01-01T12:00:00Z"}
}
