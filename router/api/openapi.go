package api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/store"
)

// operation is one call as /openapi.json describes it. A test holds the list to
// the calls that there are, runs every example, and checks its answer against
// the schema.
type operation struct {
	method, path string
	id, summary  string
	// query has the names of the parameters, which parameters describes.
	query []string
	// body is nil where there is none; example stands for it.
	body    schema
	example string
	// types are the media types of the body, application/json when empty.
	types []string
	// status of a success, and a value of the type of its answer. A text is the
	// media type of an answer that is not JSON; nil: it has no body.
	status int
	answer any
	// place has an example for each parameter of the path.
	place map[string]string
	// ask is an example of the query.
	ask string
	// open calls need no token, ingest calls one with that scope.
	open, ingest bool
}

// parameters of queries and paths.
var parameters = map[string]string{
	"by":          "`event`, `destination`, or both with a comma between",
	"cursor":      "what the page before gave as `next`",
	"destination": "name of a destination, or id of a webhook",
	"events":      "a pattern of event types, in which `*` stands for any run of characters",
	"id":          "id of the event, the delivery, the replay or the webhook",
	"kinds":       "kinds of what is told, with commas between: `event`, `attempt`, `state`",
	"limit":       "how many at most, 1 to 1000, by default 50",
	"name":        "name",
	"points":      "how many points each row has",
	"since":       "not before this time (RFC 3339)",
	"source":      "name of a source; beside an id also the source that a CloudEvent names",
	"status":      "state",
	"tenant":      "tenant",
	"text":        "what is somewhere in the id, the subject or the data, as it stands there; letters of ASCII match in either case",
	"top":         "how many rows at most, those with the most deliveries: 1 to 1000, by default 1000; `more` counts the others",
	"type":        "event type; `*` stands for any run of characters",
	"uid":         "the registrant's own name of a webhook",
	"until":       "before this time (RFC 3339)",
	"webhook_id":  "what the receiver got as the header `webhook-id`; a page looks at 10,000 deliveries at most, and may have none and still a `next`",
	"wait":        "how long to wait for what becomes of it, such as `5s`, at most `30s`",
	"window":      "how far back, such as `1h`, `24h` or `7d`",
}

var page = []string{"cursor", "limit"}

func with(list []string, more ...string) []string {
	return append(append([]string(nil), more...), list...)
}

// exampleDelivery is the id of the first delivery of a new store.
var exampleDelivery = store.Ref{Position: 1}.String()

const (
	exampleWebhook = "wh_01JD3M8ZQ4T5V6W7X8Y9Z0A1B2"
	exampleReplay  = "rpl_01jd3m8zq4t5v6w7x8y9z0a1b2"
)

func operations() []operation {
	event := object(schema{
		"event": text("type"), "data": schema{"description": "any JSON value"}, "timestamp": schema{"type": "string", "format": "date-time"},
		"event_id": text("the producer's id: the same again is a duplicate"), "subject": text(""), "tenant": text(""),
	}, "event", "data")
	webhook := object(schema{
		"url": text("where deliveries go"), "events": array(text("pattern")), "secret": text("made where it is left out"),
		"tenant": text(""), "uid": text("the registrant's own name of it"), "filter": text("an expression of the language of when"),
		"plugin": text("one that the configuration allows"), "format": text(""), "description": text(""), "metadata": schema{"type": "object"},
	})
	created := schema{}
	for k, v := range webhook {
		created[k] = v
	}
	created["required"] = []string{"url", "events"}
	deadLetters := schemaOf(DeadLetterFilter{})
	byID := map[string]string{"id": "order-7"}
	delivery := map[string]string{"id": exampleDelivery}
	hook := map[string]string{"id": exampleWebhook}
	again := map[string]string{"id": exampleReplay}
	crm := map[string]string{"name": "crm"}
	partner := map[string]string{"name": "partner"}
	nothing := object(schema{})
	filter := []string{"type", "source", "tenant", "since", "until"}
	return []operation{
		{method: "POST", path: "/events", id: "sendEvents", summary: "Take events, and answer when they are on disk", ingest: true, query: []string{"wait"},
			body: schema{"oneOf": []any{event, array(event)}}, example: `{"event":"order.paid","event_id":"order-7","data":{"total":120}}`,
			types: []string{"application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"}, status: 202, answer: Accepted{}},
		{method: "POST", path: "/in/{source}", id: "sendToSource", summary: "Take a request of a provider; the answer is the source's", ingest: true,
			body: schema{}, example: `{"event":"order.paid","event_id":"order-8","data":{"total":80}}`, types: []string{"*/*"},
			place: map[string]string{"source": "events"}, status: 202, answer: Accepted{}},
		{method: "GET", path: "/api/events", id: "listEvents", summary: "List events, newest first", query: with(page, append(filter, "id", "text", "destination", "status")...), ask: "type=order.*&text=total&limit=5", status: 200, answer: EventList{}},
		{method: "GET", path: "/api/events/{id}", id: "showEvent", summary: "Show an event with its data", query: []string{"source"}, place: byID, status: 200, answer: Event{}},
		{method: "GET", path: "/api/events/{id}/deliveries", id: "listDeliveriesOfEvent", summary: "List what an event led to", query: with(page, "source"), place: byID, status: 200, answer: DeliveryList{}},
		{method: "GET", path: "/api/events/{id}/explain", id: "explainEvent", summary: "Say where an event went, or did not go, and why", query: []string{"source", "destination"}, place: byID, status: 200, answer: Explanation{}},
		{method: "POST", path: "/api/explain", id: "explainUnsent", summary: "Say where an event would go that is not sent, why, and with which bytes", query: []string{"source", "destination"},
			body: event, example: `{"event":"order.paid","data":{"total":80}}`, status: 200, answer: Explanation{}},
		{method: "POST", path: "/api/events/{id}/replay", id: "replayEvent", summary: "Deliver an event again, out of order; with dry_run only say what would be sent (200)", query: []string{"source"}, place: byID,
			body: schemaOf(EventReplayOptions{}), example: `{"to":"crm","routes":"original"}`, status: 202, answer: EventReplay{}},
		{method: "GET", path: "/api/deliveries", id: "listDeliveries", summary: "List deliveries, newest event first", query: with(page, append(filter, "destination", "status", "webhook_id")...), ask: "status=dead", status: 200, answer: DeliveryList{}},
		{method: "GET", path: "/api/deliveries/{id}", id: "showDelivery", summary: "Show a delivery with all attempts", place: delivery, status: 200, answer: Delivery{}},
		{method: "POST", path: "/api/deliveries/{id}/retry", id: "retryDelivery", summary: "Send a delivery again that was not delivered", place: delivery, status: 202, answer: Delivery{}},
		{method: "POST", path: "/api/deliveries/{id}/cancel", id: "cancelDelivery", summary: "Take back a delivery", place: delivery, status: 200, answer: Delivery{}},
		{method: "GET", path: "/api/dead-letters", id: "listDeadLetters", summary: "List what was given up", query: with(page, append(filter, "destination")...), ask: "destination=crm", status: 200, answer: DeadLetterList{}},
		{method: "POST", path: "/api/dead-letters/retry", id: "retryDeadLetters", summary: "Send again what was given up", body: deadLetters, example: `{"destination":"crm"}`, status: 202, answer: Moved{}},
		{method: "POST", path: "/api/dead-letters/cancel", id: "cancelDeadLetters", summary: "Take back what was given up", body: deadLetters, example: `{"type":"order.*"}`, status: 200, answer: Moved{}},
		{method: "POST", path: "/api/replays", id: "startReplay", summary: "Deliver stored events again, out of order; with dry_run only count them (200)",
			body: schemaOf(ReplayOptions{}), example: `{"type":"order.*","since":"2024-01-01T12:00:00Z","rate":100}`, status: 202, answer: Replay{}},
		{method: "GET", path: "/api/replays", id: "listReplays", summary: "List replays with how far they are, newest first", status: 200, answer: ReplayList{}},
		{method: "GET", path: "/api/replays/{id}", id: "showReplay", summary: "Show how far a replay is", place: again, status: 200, answer: Replay{}},
		{method: "DELETE", path: "/api/replays/{id}", id: "cancelReplay", summary: "End a replay; what it has made goes on", place: again, status: 200, answer: Replay{}},
		{method: "GET", path: "/api/destinations", id: "listDestinations", summary: "List destinations with their lanes, and add them up on the first page", query: with(page, "status"), ask: "status=failing,open", status: 200, answer: DestinationList{}},
		{method: "GET", path: "/api/destinations/{name}", id: "showDestination", summary: "Show a destination with its lane", place: crm, status: 200, answer: Destination{}},
		{method: "POST", path: "/api/destinations/{name}/pause", id: "pauseDestination", summary: "Send nothing to a destination, and keep what is for it", place: crm, status: 200, answer: Destination{}},
		{method: "POST", path: "/api/destinations/{name}/resume", id: "resumeDestination", summary: "Go on sending, also to one that was disabled", place: crm, status: 200, answer: Destination{}},
		{method: "POST", path: "/api/destinations/{name}/recover", id: "recoverDestination", summary: "Send again what is dead of a time", place: crm,
			body:    object(schema{"since": schema{"type": "string", "format": "date-time"}, "until": schema{"type": "string", "format": "date-time"}}, "since"),
			example: `{"since":"2024-01-01T12:00:00Z"}`, status: 202, answer: Moved{}},
		{method: "POST", path: "/api/destinations/{name}/cancel", id: "cancelDestination", summary: "Take back all that waits for a destination", place: crm, status: 200, answer: Moved{}},
		{method: "GET", path: "/api/pull/{name}", id: "pull", summary: "Give the messages of a pull destination after a cursor; as server-sent events where Accept asks for them", query: []string{"cursor", "limit", "wait"}, ask: "limit=10&wait=5s", place: partner, status: 200, answer: PullPage{}},
		{method: "POST", path: "/api/pull/{name}/ack", id: "acknowledge", summary: "Acknowledge all messages up to a cursor as delivered", place: partner,
			body: object(schema{"cursor": text("that of a message, or next")}, "cursor"), example: `{"cursor":"1"}`, status: 200, answer: Acknowledged{}},
		{method: "POST", path: "/api/listeners", id: "listen", summary: "Make a pull destination of events to come, gone an hour after its last request",
			body: object(schema{"events": array(text("pattern"))}), example: `{"events":["order.*"]}`, status: 201, answer: Listener{}},
		{method: "GET", path: "/api/routes", id: "listRoutes", summary: "Show how events go, from sources by routes through plugins to destinations, with counts", status: 200, answer: RouteList{}},
		{method: "GET", path: "/api/plugins", id: "listPlugins", summary: "List plugins with what they did", status: 200, answer: PluginList{}},
		{method: "GET", path: "/api/plugins/{name}", id: "showPlugin", summary: "Show a plugin with what it did", place: map[string]string{"name": "redact"}, status: 200, answer: Plugin{}},
		{method: "GET", path: "/api/stats", id: "stats", summary: "Count deliveries, failures and latencies", query: []string{"by", "window", "type", "destination", "tenant", "points", "top"}, ask: "by=event,destination&window=24h", status: 200, answer: Stats{}},
		{method: "GET", path: "/api/stream", id: "stream", summary: "Tell of events, attempts and changes of states as they happen", query: []string{"events", "destination", "tenant", "kinds"}, ask: "events=order.*", status: 200, answer: "text/event-stream"},
		{method: "POST", path: "/api/webhooks", id: "createWebhook", summary: "Register a webhook", body: created, example: `{"url":"https://customer.example/hooks","events":["order.*"]}`, status: 201, answer: Webhook{}},
		{method: "GET", path: "/api/webhooks", id: "listWebhooks", summary: "List registered webhooks", query: with(page, "tenant", "uid", "type", "status"), ask: "status=active", status: 200, answer: WebhookList{}},
		{method: "GET", path: "/api/webhooks/{id}", id: "showWebhook", summary: "Show a webhook, without its secrets", place: hook, status: 200, answer: Webhook{}},
		{method: "PATCH", path: "/api/webhooks/{id}", id: "updateWebhook", summary: "Change what is given, and take away what is null (RFC 7396)", body: webhook, example: `{"events":["order.paid"],"description":"billing"}`, place: hook, status: 200, answer: Webhook{}},
		{method: "POST", path: "/api/webhooks/{id}/test", id: "testWebhook", summary: "Send a weir.test event to it, and answer with the attempt", place: hook, status: 200, answer: TestResult{}},
		{method: "POST", path: "/api/webhooks/{id}/rotate", id: "rotateWebhook", summary: "Take a new secret; the old one signs too for a day, or the overlap", place: hook,
			body: object(schema{"secret": text("made where it is left out"), "activate_after": text("a time, or how long from now"),
				"overlap": text("how long the secrets before sign too once the new one is active: 24h where it is left out, 0s ends them at once")}),
			example: `{}`, status: 200, answer: Webhook{}},
		{method: "POST", path: "/api/webhooks/{id}/pause", id: "pauseWebhook", summary: "Send nothing, and keep what is for it", body: nothing, example: `{}`, place: hook, status: 200, answer: Webhook{}},
		{method: "POST", path: "/api/webhooks/{id}/resume", id: "resumeWebhook", summary: "Go on sending, also to one that was disabled", body: nothing, example: `{}`, place: hook, status: 200, answer: Webhook{}},
		{method: "DELETE", path: "/api/webhooks/{id}", id: "deleteWebhook", summary: "Delete a webhook, and cancel what waits for it", place: hook, status: 204},
		{method: "POST", path: "/api/reload", id: "reload", summary: "Take over the configuration's files as they are now", body: object(schema{"orphan": schema{"type": "boolean"}}), example: `{"orphan":false}`, status: 200, answer: Reloaded{}},
		{method: "GET", path: "/api/config", id: "config", summary: "Show the configuration that runs, its secrets masked", status: 200, answer: Config{}},
		{method: "GET", path: "/healthz", id: "healthz", summary: "Say that the process answers", open: true, status: 200, answer: Health{}},
		{method: "GET", path: "/readyz", id: "readyz", summary: "Say whether events are taken and delivered; why not, only to who may read", open: true, status: 200, answer: Health{}},
		{method: "GET", path: "/metrics", id: "metrics", summary: "Metrics for Prometheus", status: 200, answer: "text/plain"},
		{method: "GET", path: "/openapi.json", id: "openapi", summary: "This document", status: 200, answer: schema{}},
	}
}

// document is /openapi.json (OpenAPI 3.1).
var document = sync.OnceValues(func() ([]byte, error) { return marshal(describe(operations())) })

func describe(list []operation) schema {
	schemas := schema{
		"Problem": object(schema{
			"type": text(""), "title": text(""), "status": schema{"type": "integer"}, "code": text("stable: programs may rely on it"), "detail": text("for people"),
		}, "type", "title", "status", "code"),
	}
	problem := schema{"description": "a problem (RFC 9457)", "content": schema{"application/problem+json": schema{"schema": ref("Problem")}}}
	paths := schema{}
	for _, o := range list {
		out := schema{
			"operationId": o.id, "summary": o.summary, "tags": []string{tag(o.path)},
			"description": o.needs(), "responses": schema{strconv.Itoa(o.status): o.success(schemas), "4XX": problem, "5XX": problem},
		}
		if o.open {
			out["security"] = []any{schema{}}
		}
		var params []any
		for name := range strings.SplitSeq(o.path, "/") {
			if name, ok := strings.CutPrefix(name, "{"); ok {
				name = strings.TrimSuffix(name, "}")
				params = append(params, schema{"name": name, "in": "path", "required": true, "description": parameters[name], "schema": schema{"type": "string"}, "example": o.place[name]})
			}
		}
		asked, _ := url.ParseQuery(o.ask)
		for _, name := range o.query {
			p := schema{"name": name, "in": "query", "description": parameters[name], "schema": schema{"type": "string"}}
			if v := asked.Get(name); v != "" {
				p["example"] = v
			}
			if name == "limit" || name == "points" || name == "top" {
				p["schema"] = schema{"type": "integer"}
				if n, err := strconv.Atoi(asked.Get(name)); err == nil {
					p["example"] = n
				}
			}
			params = append(params, p)
		}
		if params != nil {
			out["parameters"] = params
		}
		if o.body != nil {
			content := schema{}
			types := o.types
			if types == nil {
				types = []string{fiber.MIMEApplicationJSON}
			}
			for i, t := range types {
				media := schema{"schema": o.body}
				if i > 0 {
					media = schema{"schema": schema{}}
				} else {
					media["example"] = rawJSON(o.example)
				}
				content[t] = media
			}
			out["requestBody"] = schema{"content": content}
		}
		item, _ := paths[o.path].(schema)
		if item == nil {
			item = schema{}
			paths[o.path] = item
		}
		item[strings.ToLower(o.method)] = out
	}
	return schema{
		"openapi": "3.1.0",
		"info":    schema{"title": "Weir", "version": "1", "description": "An event router: events in, signed webhooks out.", "license": schema{"name": "Proprietary", "identifier": "LicenseRef-Proprietary"}},
		"servers": []any{schema{"url": "/"}},
		"tags": []any{
			schema{"name": "ingest", "description": "Events in"}, schema{"name": "api", "description": "Look, and act"},
			schema{"name": "webhooks", "description": "Registered webhooks"}, schema{"name": "router", "description": "The router itself"},
		},
		"security":   []any{schema{"token": []string{}}},
		"paths":      paths,
		"components": schema{"schemas": schemas, "securitySchemes": schema{"token": schema{"type": "http", "scheme": "bearer", "description": "A token of the configuration's server block. Without any token none is needed, on loopback."}}},
	}
}

// needs says which scope a call takes.
func (o *operation) needs() string {
	switch {
	case o.open:
		return "Needs no token."
	case o.ingest:
		return "Needs the scope ingest where the source has no verify."
	}
	if strings.HasPrefix(o.path, "/api/pull/") {
		return "Needs the destination's own token, or the scope " + join(needed(o.method, o.path)) + "."
	}
	return "Needs the scope " + join(needed(o.method, o.path)) + "."
}

func (o *operation) success(schemas schema) schema {
	out := schema{"description": http.StatusText(o.status)}
	switch a := o.answer.(type) {
	case nil:
	case string:
		out["content"] = schema{a: schema{"schema": schema{"type": "string"}}}
	case schema:
		out["content"] = schema{fiber.MIMEApplicationJSON: schema{"schema": schema{"type": "object"}}}
	default:
		out["content"] = schema{fiber.MIMEApplicationJSON: schema{"schema": named(a, schemas)}}
	}
	return out
}

func tag(path string) string {
	switch {
	case path == "/events" || strings.HasPrefix(path, "/in/"):
		return "ingest"
	case strings.HasPrefix(path, "/api/webhooks"):
		return "webhooks"
	case strings.HasPrefix(path, "/api/"):
		return "api"
	}
	return "router"
}

func (s *server) openapi(c *fiber.Ctx) error {
	b, err := document()
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(b)
}
