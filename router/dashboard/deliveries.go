package dashboard

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/weirhq/weir/router/api"
)

// quoteJSON is s as JSON.
func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // a string can always be encoded
	}
	return string(b)
}

type deliveriesPage struct {
	api.DeliveryList
	Filter   url.Values
	Next     string
	Statuses []string
	// Back is this page, for the forms on it.
	Back string
}

// deliveryStatuses are those that lists can be filtered by.
var deliveryStatuses = []string{"waiting", "sending", "retrying", "delivered", "dead", "cancelled"}

var deliveryFilters = []string{"destination", "type", "source", "tenant", "status", "webhook_id", "since", "until"}

func deliveries(v *visit) (*view, error) {
	p := deliveriesPage{
		Filter:   v.filter(deliveryFilters...),
		Statuses: deliveryStatuses,
	}
	q, err := v.listed(deliveryFilters...)
	if err != nil {
		return nil, err
	}
	if err := v.get("/api/deliveries", q, &p.DeliveryList); err != nil {
		return nil, err
	}
	p.Back = "/ui/deliveries?" + v.filter(append(deliveryFilters, "cursor")...).Encode()
	p.Next = older("/ui/deliveries", p.Filter, p.DeliveryList.Next)
	shown := &view{Page: "deliveries", Title: "Deliveries", Section: "deliveries", Data: p}
	if v.query("cursor") == "" {
		shown.Live = "kinds=event,attempt"
	}
	return shown, nil
}

type deliveryPage struct {
	api.Delivery
	Back string
}

func oneDelivery(v *visit) (*view, error) {
	var p deliveryPage
	if err := v.get("/api/deliveries/"+v.param("id"), nil, &p.Delivery); err != nil {
		return nil, err
	}
	p.Back = "/ui/deliveries/" + url.PathEscape(p.ID)
	return &view{Page: "delivery", Title: "Delivery " + p.ID, Section: "deliveries", Live: "kinds=attempt", Data: p}, nil
}

func retryDelivery(v *visit) (string, error) {
	var d api.Delivery
	if err := v.call(http.MethodPost, "/api/deliveries/"+v.param("id")+"/retry", nil, struct{}{}, &d); err != nil {
		return "", err
	}
	// It is due, whatever can be said of its destination.
	var to api.Destination
	if d.Destination != "" && v.get("/api/destinations/"+url.PathEscape(d.Destination), nil, &to) == nil && stopped(&to) {
		return "The delivery is due, but " + d.Destination + " is " + to.Status + ": it is sent once that is resumed.", nil
	}
	return "The delivery is due now.", nil
}

// stopped says that a destination is sent nothing before somebody resumes it.
func stopped(d *api.Destination) bool { return d.Status == "paused" || d.Status == "disabled" }

func (m *markup) deliveryRows(list []api.Delivery) {
	for i := range list {
		d := &list[i]
		m.raw(rowOf(``))
		m.badge(d.Status)
		m.in(`class="first key"`)
		m.deliveryLink(d)
		m.whose(d.Webhook)
		m.in(``)
		m.text(d.Type)
		m.quiet(`as `, d.MessageType, ``)
		m.in(`class="line"`)
		m.eventLink(d.EventID, d.Source)
		m.in(`class="line"`)
		m.outcome(d)
		m.in(`class="last"`)
		m.time(d.Received)
		m.raw(rowEnd)
	}
}

// deliveryLink leads to a delivery's page, and says where the delivery goes.
func (m *markup) deliveryLink(d *api.Delivery) {
	m.raw(`<a href="/ui/deliveries/`)
	m.path(d.ID)
	m.raw(`">`)
	if d.Destination == "" {
		m.raw(`routing: `)
		m.text(d.Route)
	} else {
		m.text(d.Destination)
	}
	m.raw(`</a>`)
}
