package api

import (
	"encoding/json"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/rawjson"
)

// Accepted answers an event that was stored, or was there already.
type Accepted struct {
	EventID string `json:"event_id"`
	// Status is "accepted" or "duplicate".
	Status string `json:"status"`
	// Differs is set on a duplicate whose type or data are other than those of
	// the first.
	Differs bool `json:"differs,omitempty"`
}

// appendJSON is what encoding/json makes of a, at a tenth of the cost: it is the
// answer to each event.
func (a *Accepted) appendJSON(b []byte) []byte {
	b = rawjson.AppendString(append(b, `{"event_id":`...), a.EventID)
	b = rawjson.AppendString(append(b, `,"status":`...), a.Status)
	if a.Differs {
		b = append(b, `,"differs":true`...)
	}
	return append(b, '}')
}

// Event as lists show it; Header and Data come with a single one.
type Event struct {
	ID          string    `json:"id"`
	OriginID    string    `json:"origin_id,omitempty"`
	Type        string    `json:"type"`
	Source      string    `json:"source"`
	Subject     string    `json:"subject,omitempty"`
	Tenant      string    `json:"tenant,omitempty"`
	Time        time.Time `json:"time"`
	Received    time.Time `json:"received"`
	ContentType string    `json:"content_type,omitempty"`
	Size        int       `json:"size"`
	// Cause is the id of the event that this one is a reply to.
	Cause      string          `json:"cause,omitempty"`
	Header     json.RawMessage `json:"header,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	DataBase64 []byte          `json:"data_base64,omitempty"`
}

// EventList is a page of events, newest first. A page looks at a bounded part of
// the log, so it may have few events, even none, and still a next.
type EventList struct {
	Events []Event `json:"events"`
	// Searched is the part of the log that this page has looked at.
	Searched *Searched `json:"searched,omitempty"`
	Next     string    `json:"next,omitempty"`
}

// Searched is a part of the log.
type Searched struct {
	// Count is how many events were looked at.
	Count int `json:"count"`
	// From and To are when the oldest and the newest of them were received; they are
	// left out where Count is 0, as no event is in the state that was asked for.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Delivery as lists show it. A list holds the last attempt only.
type Delivery struct {
	ID        string `json:"id"`
	EventID   string `json:"event_id"`
	WebhookID string `json:"webhook_id,omitempty"`
	// Type is the event's; MessageType what the receiver sees, where a plugin
	// set another.
	Type        string `json:"type"`
	MessageType string `json:"message_type,omitempty"`
	Source      string `json:"source"`
	Tenant      string `json:"tenant,omitempty"`
	Route       string `json:"route"`
	// Destination is empty for a dead letter of kind "routing".
	Destination string `json:"destination,omitempty"`
	// Webhook says which one the destination is, where it is registered now.
	Webhook *WebhookName `json:"webhook,omitempty"`
	Kind    string       `json:"kind"`
	// Status is waiting, sending, retrying, delivered, dead or cancelled.
	Status string `json:"status"`
	// Reason is set when dead: attempts, gone, expired or routing.
	Reason string `json:"reason,omitempty"`
	Note   string `json:"note,omitempty"`
	// Replay is the id of the replay that made it, if one did.
	Replay   string    `json:"replay,omitempty"`
	Received time.Time `json:"received"`
	// Due is the time of the next attempt, when retrying.
	Due      *time.Time `json:"due,omitempty"`
	Attempts []Attempt  `json:"attempts"`
}

// WebhookName is what people know a registered webhook by, beside its id.
type WebhookName struct {
	Tenant string `json:"tenant,omitempty"`
	UID    string `json:"uid,omitempty"`
	URL    string `json:"url"`
}

// DeliveryList is a page of deliveries, newest event first.
type DeliveryList struct {
	Deliveries []Delivery `json:"deliveries"`
	Next       string     `json:"next,omitempty"`
}

// Attempt is one try. Times are in milliseconds.
type Attempt struct {
	Number    int       `json:"number"`
	Started   time.Time `json:"started"`
	LatencyMS float64   `json:"latency_ms"`
	// WaitedMS is the time from the event's arrival, or from the end of the attempt
	// before, to the start of this one, where it is known.
	WaitedMS *float64 `json:"waited_ms,omitempty"`
	Phases   *Phases  `json:"phases,omitempty"`
	// Outcome is "delivered" or the class of the error.
	Outcome string `json:"outcome"`
	Status  int    `json:"status,omitempty"`
	Error   string `json:"error,omitempty"`
	// Response is the beginning of the response's body, ResponseBase64 where it
	// is not text.
	Response       string `json:"response,omitempty"`
	ResponseBase64 []byte `json:"response_base64,omitempty"`
}

// Phases of an attempt in milliseconds; those that did not happen are left out.
type Phases struct {
	DNS       float64 `json:"dns_ms,omitempty"`
	Connect   float64 `json:"connect_ms,omitempty"`
	TLS       float64 `json:"tls_ms,omitempty"`
	FirstByte float64 `json:"first_byte_ms,omitempty"`
}

// Explanation says where an event went, or did not go, and why.
type Explanation struct {
	Event Event `json:"event"`
	// Routed is false while the event waits for its turn.
	Routed bool `json:"routed"`
	// RoutedBy is the hash of the configuration that routed it, and Current that
	// of the one that runs.
	RoutedBy string `json:"routed_by,omitempty"`
	Current  string `json:"current"`
	// ReasonsBy is the hash of the configuration that terms and reasons are of: that
	// which routed the event, or the current one where that is not kept any more, as
	// Lost then says.
	ReasonsBy string `json:"reasons_by"`
	Lost      string `json:"lost,omitempty"`
	// SecretsChanged names the destinations that signed with other secrets when the
	// event was routed.
	SecretsChanged []string       `json:"secrets_changed,omitempty"`
	Routes         []RouteVerdict `json:"routes"`
	// MoreWebhooks counts the registered webhooks that took the event and are not
	// among Routes.
	MoreWebhooks int `json:"more_webhooks,omitempty"`
	// Replies are the events that receivers' answers made.
	Replies []Event `json:"replies,omitempty"`
}

// RouteVerdict is what one route did with an event.
type RouteVerdict struct {
	Route string `json:"route"`
	// Tenant, UID and URL are what a registered webhook has now: which one it is,
	// to people. They are empty once it is deleted.
	Tenant  string `json:"tenant,omitempty"`
	UID     string `json:"uid,omitempty"`
	URL     string `json:"url,omitempty"`
	Matched bool   `json:"matched"`
	// Recomputed says that the verdict was worked out now, by the configuration of
	// ReasonsBy, and not read from the store.
	Recomputed bool   `json:"recomputed"`
	Reason     string `json:"reason,omitempty"`
	Terms      []Term `json:"terms,omitempty"`
	// Plugins are in the order in which they were called.
	Plugins    []PluginVerdict `json:"plugins,omitempty"`
	Deliveries []Delivery      `json:"deliveries,omitempty"`
	// Would is what the route would send of an event that was not sent.
	Would []WouldSend `json:"would,omitempty"`
}

// WouldSend is a delivery of an event that was not sent.
type WouldSend struct {
	Destination string `json:"destination"`
	// Message counts the route's results, from 0, and Type is what it would be sent
	// as.
	Message     int    `json:"message"`
	Type        string `json:"type"`
	ContentType string `json:"content_type,omitempty"`
	// Body begins as the body would, BodyBase64 where it is not text. Cut: there is
	// more of it. Size is that of all.
	Body       string `json:"body,omitempty"`
	BodyBase64 []byte `json:"body_base64,omitempty"`
	Size       int    `json:"size"`
	Cut        bool   `json:"cut,omitempty"`
}

// Term is a part of a route's condition.
type Term struct {
	Text   string      `json:"text"`
	OK     bool        `json:"ok"`
	Reason string      `json:"reason,omitempty"`
	Error  string      `json:"error,omitempty"`
	Values []PathValue `json:"values,omitempty"`
}

// PathValue is an attribute that a term looks at; JSON is empty when missing.
type PathValue struct {
	Path string `json:"path"`
	JSON string `json:"json"`
}

// PluginVerdict is what a plugin did with one message.
type PluginVerdict struct {
	Plugin string `json:"plugin"`
	// Build is the sha256 of the module.
	Build     string  `json:"build"`
	Message   int     `json:"message"`
	Filter    string  `json:"filter,omitempty"`
	Transform string  `json:"transform,omitempty"`
	Error     string  `json:"error,omitempty"`
	Class     string  `json:"class,omitempty"`
	TimeMS    float64 `json:"time_ms"`
	// Fuel is what the call took, in units.
	Fuel int64 `json:"fuel"`
	// Shadow has what the plugin's shadow gave otherwise for this event, where it
	// is among the first differences of its kind.
	Shadow []plugins.Difference `json:"shadow,omitempty"`
	// Logs are what the plugin logged in the call.
	Logs []PluginLog `json:"logs,omitempty"`
	// Recomputed says that Before and After come of running the same build again
	// with the same configuration. Else NotRecomputed says why not.
	Recomputed    bool   `json:"recomputed"`
	NotRecomputed string `json:"not_recomputed,omitempty"`
	// Differs says loudly that the run gave something else than what is stored of
	// the call, or than the bytes that were delivered. Empty: they are the same.
	Differs string          `json:"differs,omitempty"`
	Before  *PluginMessage  `json:"before,omitempty"`
	After   []PluginMessage `json:"after,omitempty"`
}

// PluginLog is a line that a plugin logged, of level 1 trace to 5 error.
type PluginLog struct {
	Level int    `json:"level"`
	Text  string `json:"text"`
}

// PluginMessage is a message before or after a plugin.
type PluginMessage struct {
	Type        string          `json:"type"`
	Subject     string          `json:"subject,omitempty"`
	ContentType string          `json:"content_type,omitempty"`
	Header      json.RawMessage `json:"header,omitempty"`
	// Data begins as the message's data does, DataBase64 where that is not text.
	// Cut: there is more than is shown. Size is that of all data.
	Data       string `json:"data,omitempty"`
	DataBase64 []byte `json:"data_base64,omitempty"`
	Size       int    `json:"size"`
	Cut        bool   `json:"cut,omitempty"`
	// Diff is the unified difference between the message before the call and this
	// one, of lines that people read: JSON is indented. Empty where the message is
	// the same, or too large.
	Diff string `json:"diff,omitempty"`
}

// PluginList answers /api/plugins. The differences of shadows come with a single
// plugin.
type PluginList struct {
	Plugins []Plugin `json:"plugins"`
}

// Plugin is a plugin block and what it did since its build was loaded.
type Plugin struct {
	Name string `json:"name"`
	Wasm string `json:"wasm"`
	// Build is the SHA-256 of the module in hex.
	Build string `json:"build"`
	Kind  string `json:"kind,omitempty"`
	// Status is active, held, or not_loaded where no router runs.
	Status    string `json:"status"`
	Isolation string `json:"isolation"`
	OnError   string `json:"on_error"`
	// Routes are those that go through it, in the order of the configuration.
	Routes []string `json:"routes"`
	// Webhooks says that registered webhooks may name it.
	Webhooks bool `json:"webhooks,omitempty"`
	// Since is when the build was loaded, and what all below counts from.
	Since *time.Time `json:"since,omitempty"`
	Calls uint64     `json:"calls"`
	// Filters and Transforms count the verdicts, Errors the calls that failed by
	// class.
	Filters    map[string]uint64 `json:"filters"`
	Transforms map[string]uint64 `json:"transforms"`
	Errors     map[string]uint64 `json:"errors"`
	// Fuel is what all calls took, in units.
	Fuel uint64 `json:"fuel"`
	// MeanMS is the mean time of a call in milliseconds.
	MeanMS float64 `json:"mean_ms"`
	// Instances is how many there are, Memory what they take, in bytes.
	Instances int   `json:"instances"`
	Memory    int64 `json:"memory"`
	// Slow says why each event needs an instance of its own.
	Slow   string               `json:"slow,omitempty"`
	Held   *PluginHeld          `json:"held,omitempty"`
	Shadow *plugins.ShadowStats `json:"shadow,omitempty"`
}

// PluginHeld says why a plugin is not called.
type PluginHeld struct {
	Fault string    `json:"fault"`
	Since time.Time `json:"since"`
	// Until is when it is tried again.
	Until time.Time `json:"until"`
	// TurnedAway counts the calls that were not made since then: their events wait
	// in the lane @routing.
	TurnedAway uint64 `json:"turned_away"`
}

// Health answers /healthz and /readyz.
type Health struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}
