// Package store keeps everything that Weir must not lose: the log of events,
// what routing decided for each, the lanes of the destinations, and documents.
//
// # One state machine
//
// Everything that is true is a fold of records. A [Record] is atomic: all of it
// becomes visible and durable together, or none of it. [Store] commits records
// and answers questions about their fold; it has no other way to change. An
// embedded implementation applies a record in the transaction that commits it; a
// replicated one publishes it as one message, and every router folds the stream
// into a local copy by the same code.
//
// # Invariants
//
// The conformance suite in storetest holds every implementation to these:
//
//  1. Durable first. When Commit returns nil the record is on disk: it survives
//     kill -9 and power loss.
//  2. Atomic. After any crash a record is there whole or not at all.
//  3. Dense log. Positions start at 1 and have no gaps; a position never changes
//     its event. Received never decreases with position.
//  4. One event an id. Within the dedupe window an event whose producer gave its
//     id is stored once per (source, scope, id). The answer for a duplicate is
//     the first one's position. The window outlives a restart.
//  5. Progress is exact. Routings come in the log's order, each position once;
//     progress, the routing and its postings become true together.
//  6. A posting is found until it is settled. Postings gives every posting at or
//     after the lane's cursor that is not settled, in order, without reading
//     what is settled.
//  7. A delivery is in one state. Waiting, retrying, dead, delivered and
//     cancelled exclude each other, and counts equal what listing finds.
//  8. Retries come by due time, and are found without reading finished ones.
//  9. The cursor never goes back.
//  10. Idle lanes are free. A lane that nothing was posted to has no row.
//  11. Retention takes no delivery that is still waiting, retrying or dead and
//     younger than its age; what it takes it takes with its indexes.
package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/router/event"
)

// Errors that callers tell apart. After ErrFull, ErrBusy, ErrClosed and
// ErrTooLarge nothing of the record was stored. After any other error from
// Commit, a context's included, the record may or may not be there.
var (
	ErrNotFound = errors.New("not found")
	ErrFull     = errors.New("the disk has too little free space (store.min_free)")
	ErrBusy     = errors.New("the store cannot keep up")
	ErrClosed   = errors.New("the store is closed")
	ErrTooLarge = errors.New("the record is too large")
	// ErrOutOfOrder says that a record does not follow from the state: a routing
	// of a position other than the next, a cursor that goes back, an outcome of
	// a delivery that is in another state. Nothing was stored.
	ErrOutOfOrder = errors.New("the record is out of order")
	// ErrCursor says that a page cursor was not made by this store.
	ErrCursor = errors.New("malformed page cursor")
)

// RoutingLane holds the dead letters and retries of routing itself: events that
// a route could not take because a plugin failed. It is no destination's name.
const RoutingLane = "@routing"

// MaxBodies bounds the bytes of responses that Store.Deliveries gives.
const MaxBodies = 16 << 20

// Record is what becomes true together. Parts are applied in the order of the
// fields. The store keeps no reference to a record after Commit has returned.
type Record struct {
	Events    []NewEvent
	Routings  []*Routing
	Outcomes  []LaneOutcomes
	Documents []Document
}

// NewEvent asks for an event to be appended to the log. The store assigns
// Position, and for events without a producer's id the position's part of ID;
// it raises Received where needed so that it never decreases.
type NewEvent struct {
	Event *event.Event
	// Dedupe is how long the id is remembered, and the alias. 0 remembers nothing.
	Dedupe time.Duration
	// Alias is a second name of the event within its source, such as a hash of what
	// the request was signed with: an event whose alias is remembered is a
	// duplicate, whatever its id. Empty: none.
	Alias string
}

// Accepted answers a NewEvent.
type Accepted struct {
	ID       string
	Position uint64
	// Duplicate: an event of that id, or of that alias, is stored already, with ID
	// at Position, and this one was not. Differs: its type or data were other than
	// these.
	Duplicate bool
	Differs   bool
}

// Result of a commit.
type Result struct {
	// Events answers Record.Events, in order.
	Events []Accepted
}

// Routing is what one event led to, however many destinations.
type Routing struct {
	Position uint64
	// Config is the hash of the configuration that decided.
	Config string
	// Again marks a further routing of an event that was routed before: a retry
	// of a dead letter of routing, or a replay. Deliveries are appended to those
	// that the event has, progress stays, and each delivery must have a Due.
	Again   bool
	Matches []Match
	// Contents are the messages that plugins made, each once.
	Contents   []Content
	Deliveries []Delivery
}

// Size is about how many bytes r takes, in the store and in memory.
func (r *Routing) Size() int {
	n := 128 + len(r.Config)
	for i := range r.Matches {
		m := &r.Matches[i]
		n += 64 + len(m.Route)
		for k := range m.Plugins {
			v := &m.Plugins[k]
			n += 128 + len(v.Plugin) + len(v.Build) + len(v.Filter) + len(v.Transform) + len(v.Class) + len(v.Error)
			for _, l := range v.Logs {
				n += 8 + len(l.Text)
			}
		}
	}
	for i := range r.Contents {
		c := &r.Contents[i]
		n += 128 + len(c.Type) + len(c.Subject) + len(c.ContentType) + len(c.Data) + event.FieldsSize(c.Header) + event.FieldsSize(c.SetHeader)
	}
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		n += 128 + len(d.Lane) + len(d.Format) + len(d.Error) + len(d.Replay)
	}
	return n
}

// Match is a route that took the event.
type Match struct {
	Route   string
	Plugins []Verdict
	// Config is the hash of the configuration that decided it, empty for that of the
	// event's first routing. The store sets it when it adds a routing that is Again.
	Config string
	// Version is that of what the registered webhook took which is the route, where
	// the routing was Again. 0: what it took at the event's position.
	Version uint64
}

// Further gives the matches of r, which is Again, as an event has them whose first
// routing was by the configuration first. Every implementation adds them by it.
func (r *Routing) Further(first string) []Match {
	list := slices.Clone(r.Matches)
	for i := range list {
		if r.Config != first {
			list[i].Config = r.Config
		}
	}
	return list
}

// Verdict is what one plugin did with one message.
type Verdict struct {
	Plugin string
	// Build is the sha256 of the module, in hex.
	Build string
	// Message counts the messages that this plugin of the chain was given, from 0.
	Message int
	// Filter and Transform are as in package plugins; empty where not called.
	Filter, Transform string
	// Class and Error are set when the call failed.
	Class, Error string
	Duration     time.Duration
	// Fuel is what the call took, in units.
	Fuel int64
	// Logs are the lines that the plugin logged in the call.
	Logs []Log
}

// Log is a line that a plugin logged, of level 1 trace to 5 error.
type Log struct {
	Level int
	Text  string
}

// Delivery is one message for one destination, or a route's failure.
type Delivery struct {
	// Match is the route, as an index into Matches.
	Match int
	// N is the message's number among the route's results; Several says that
	// there was more than one.
	N       int
	Several bool
	// Content is an index into Contents, or -1 for the event as it was accepted.
	Content int
	// Lane is the destination's name, or RoutingLane.
	Lane string
	// Format is that of the body. It is fixed when the event is routed, so that
	// every attempt sends the same bytes, whatever the destination says later.
	Format string
	// Due, where set, makes the delivery a retry that is due then, instead of a
	// posting: such deliveries are out of order.
	Due time.Time
	// Dead, where set, makes it a dead letter at once, with that reason; Error
	// says why.
	Dead  Reason
	Error string
	// Replay names the replay that made it, if one did.
	Replay string
}

// Prefixes of the ids of replays: of those whose deliveries keep their webhook-id,
// and of those that ask for new ones.
const (
	ReplayPrefix = "rpl_"
	NewIDsPrefix = "rpn_"
)

// WebhookID is the delivery's webhook-id, where its event is at a position and its
// route has a name. A replay has that of the original, unless its id says that
// its deliveries have their own.
func (d *Delivery) WebhookID(position uint64, eventID, route string) string {
	if strings.HasPrefix(d.Replay, NewIDsPrefix) {
		eventID = d.Replay + " " + eventID // no event's id has a space
	}
	return event.WebhookID(position, eventID, route, d.N, d.Lane)
}

// State of a delivery.
type State string

// The states of section "States" of the documentation. Sending is known only to
// the running router and never stored.
const (
	Waiting   State = "waiting"
	Sending   State = "sending"
	Retrying  State = "retrying"
	Delivered State = "delivered"
	Dead      State = "dead"
	Cancelled State = "cancelled"
)

// Final reports whether nothing more happens to a delivery by itself.
func (s State) Final() bool { return s == Delivered || s == Dead || s == Cancelled }

// Reason why a delivery is dead.
type Reason string

// Reasons of dead deliveries.
const (
	ReasonAttempts Reason = "attempts"
	ReasonGone     Reason = "gone"
	ReasonExpired  Reason = "expired"
	ReasonRouting  Reason = "routing"
)

// LaneOutcomes is what happened in one lane since its last record. A Cursor must
// settle the postings that Outcomes take out of Waiting, and those of records
// before, and no others, so that no posting is lost by a cursor that is wrong:
// anything else is [ErrOutOfOrder]. Without a Cursor the postings that Outcomes
// take out of Waiting are settled one by one.
type LaneOutcomes struct {
	Lane     string
	Outcomes []Outcome
	// Cursor, where set, replaces the lane's.
	Cursor *Cursor
}

// Cursor says which postings of a lane are settled: each was sent with success,
// or is kept as a retry or dead letter, or was cancelled.
type Cursor struct {
	// Low: every posting before it is settled.
	Low Ref
	// Above are those settled at or after Low, ascending. The owner bounds it.
	Above []Ref
}

// Settled reports whether the posting r is settled.
func (c *Cursor) Settled(r Ref) bool {
	if r.Less(c.Low) {
		return true
	}
	for _, a := range c.Above {
		if a == r {
			return true
		}
	}
	return false
}

// Outcome moves one delivery from a state to another.
type Outcome struct {
	Ref Ref
	// From is the state it was in: Waiting for a posting that nothing happened
	// to, else Retrying, Dead or Cancelled.
	From State
	To   State
	// Attempt is what was tried, nil when a person or the clock did it.
	Attempt *Attempt
	// Due is the time of the next attempt when To is Retrying.
	Due time.Time
	// Tries counts the attempts that the schedule has used up.
	Tries int
	// Key, when To is Retrying, is that of the order which the delivery is in, 0
	// for none. It is kept with the retry. A Due of [Park] makes it wait for the
	// one before it of its key, and for no time.
	Key uint64
	// Reason when To is Dead, and Note for people.
	Reason Reason
	Note   string
	// Type, Tenant and Received are the event's, where the lane knows them. They are
	// for those who count outcomes: the store has them with the event.
	Type, Tenant string
	Received     time.Time
}

// parked is the due time, in Unix nanoseconds, of what waits behind another of
// its key; the key is added to it. It is beyond what a schedule can reach.
const parked = 1 << 62

// MaxKey is the largest key of an order.
const MaxKey = parked - 1

// Park is the due time of a retry that waits for the one before it of its key: it
// comes after all that wait for a time, in the order of keys, and of one key in the
// lane's order. key is from 1 to [MaxKey].
func Park(key uint64) time.Time { return time.Unix(0, int64(parked+key&MaxKey)).UTC() }

// Parked gives the key of a due time that is of [Park].
func Parked(due time.Time) (key uint64, ok bool) {
	// Times beyond 2262 have no UnixNano.
	if due.Year() < 2116 || due.Year() > 2262 {
		return 0, false
	}
	n := due.UnixNano()
	return uint64(n) - parked, n >= parked
}

// Attempt is one try as it is recorded.
type Attempt struct {
	// Number counts all tries of the delivery from 1.
	Number  int
	Started time.Time
	Latency time.Duration
	// Phases of the latency, zero where they did not happen.
	DNS, Connect, TLS, FirstByte time.Duration
	// Status is the HTTP status, 0 where there was none.
	Status int
	// Reason is empty on success, else the error class, see package attempt.
	Reason string
	Error  string
	// Body is the beginning of the response, at most 16 KiB.
	Body []byte
}

// Posting is a delivery in its lane's order.
type Posting struct {
	Ref Ref
}

// Retry is a delivery that has failed, or was asked for again.
type Retry struct {
	Ref   Ref
	Due   time.Time
	Tries int
	// Attempts counts all tries, those included that the schedule did not count.
	Attempts int
	// Key is that of the order which it is in, 0 for none.
	Key uint64
}

// Counts of a lane's deliveries, by state.
type Counts struct {
	Waiting, Retrying, Dead, Delivered, Cancelled uint64
}

// Lane is what the store knows of a destination's queue.
type Lane struct {
	Name   string
	Cursor Cursor
	Counts Counts
}

// DeliveryStatus is a delivery with all that is known of it.
type DeliveryStatus struct {
	Ref      Ref
	Delivery Delivery
	Route    string
	// EventID, Type and Source are the event's; MessageType is what is sent.
	EventID, Type, MessageType, Source, Tenant string
	Received                                   time.Time
	State                                      State
	Due                                        time.Time
	Tries                                      int
	// Key is that of the order which it is in while it is retrying, 0 for none.
	Key    uint64
	Reason Reason
	Note   string
	// Attempts are all that were made, oldest first. ListDeliveries gives only
	// the last.
	Attempts []Attempt
}

// EventQuery selects events, newest first. Empty fields select all.
type EventQuery struct {
	// Type is a pattern: * stands for any run of characters.
	Type, Source, Tenant string
	// Since is inclusive and Until exclusive, by the time received.
	Since, Until time.Time
	Page
}

// EventSearch selects events by more than a list does. Empty fields select all.
type EventSearch struct {
	EventQuery
	// Text is somewhere in the id, the producer's id, the subject or the data, as it
	// stands there; letters of ASCII match in either case.
	Text string
	// Destination and State select events with a delivery to that lane and in that
	// state.
	Destination string
	State       State
	// Told takes states as they are told, see [DeliveryQuery].
	Told bool
}

// EventsFound is a page of a search, newest first.
type EventsFound struct {
	Events []*event.Event
	Next   string
	// Looked is how many events the page has looked at; Newest and Oldest are when
	// the first and the last of them were received.
	Looked         int
	Newest, Oldest time.Time
}

// DeliveryQuery selects deliveries, newest event first.
type DeliveryQuery struct {
	Destination, Type, Source, Tenant string
	State                             State
	// Told takes states as they are told: what waits behind another of its key, for
	// no time, is then waiting and not retrying.
	Told         bool
	Since, Until time.Time
	Page
}

// Fits says whether a delivery is in a state that is asked for; "" is any.
func (d *DeliveryStatus) Fits(state State, told bool) bool {
	is := d.State
	if _, parked := Parked(d.Due); told && parked && is == Retrying {
		is = Waiting
	}
	return state == "" || state == is
}

// Page asks for part of a list. A store looks at a bounded number of rows for
// one page, so a page may have fewer than Limit, even none, and still have a
// next. Whoever follows next until it is empty comes to an end, and has seen
// each thing once. Deliveries that are waiting, retrying or dead are found
// without looking at others of their lane.
type Page struct {
	// Cursor is what the page before gave as next, empty for the first.
	Cursor string
	// Limit is the most that are returned, 1 to 1000.
	Limit int
}

// Document is a small value kept by kind and name, such as a webhook. A nil
// Value deletes it.
type Document struct {
	Kind, Name string
	Value      []byte
}

// Expired says what a run of retention took.
type Expired struct {
	Events int
	// DeadLetters and Aged count deliveries that ended by age.
	DeadLetters, Aged int
	// AgedBy has the number of Aged of each lane that has some.
	AgedBy map[string]int
}

// Store is the fold of the records committed to it. All methods may be called
// from any goroutine. A read sees every record whose Commit has returned.
// Methods that look for one thing return ErrNotFound when it is not there.
type Store interface {
	// Commit makes r durable and applies it, and returns only then. Concurrent
	// calls share one flush. When ctx ends first, the record may still be
	// committed, but nothing reads r once Commit has returned: what is kept of it is
	// copied, for data of events may be lent by an HTTP server. A record with events is
	// refused with ErrFull while free space is below min_free; other records go on, so
	// that queues can drain.
	Commit(ctx context.Context, r *Record) (Result, error)

	// Last is the position of the newest event, 0 when there is none, and
	// Progress that of the newest one that is routed.
	Last() uint64
	Progress() uint64
	// Wait returns when Last is greater than after, or with ctx's error, or with
	// ErrClosed.
	Wait(ctx context.Context, after uint64) error

	// Events returns up to max events from a position on, in order; events that
	// retention took are left out.
	Events(ctx context.Context, from uint64, max int) ([]*event.Event, error)
	Event(ctx context.Context, position uint64) (*event.Event, error)
	// FindEvent returns the events of an id, one for each source and scope that
	// has one; source "" means all.
	FindEvent(ctx context.Context, id, source string) ([]*event.Event, error)
	ListEvents(ctx context.Context, q EventQuery) (events []*event.Event, next string, err error)
	// SearchEvents lists what a search finds. Its pages are as those of a list, and
	// a page with Text looks at a bounded amount of data, too.
	SearchEvents(ctx context.Context, q EventSearch) (*EventsFound, error)

	// Routing returns what the event at a position led to, ErrNotFound while it
	// is not routed.
	Routing(ctx context.Context, position uint64) (*Routing, error)

	// Lanes returns every lane that something was ever posted to.
	Lanes(ctx context.Context) ([]Lane, error)
	// Lane returns one; a lane that nothing was posted to is the zero Lane of
	// that name, and no error.
	Lane(ctx context.Context, name string) (Lane, error)
	// Postings returns up to max unsettled postings of a lane from a reference
	// on, in order.
	Postings(ctx context.Context, lane string, from Ref, max int) ([]Posting, error)
	// Retries returns up to max retries of a lane by due time.
	Retries(ctx context.Context, lane string, max int) ([]Retry, error)
	// RetriesFrom returns up to max retries of a lane in the order of their due
	// time and then their reference, from such a place on.
	RetriesFrom(ctx context.Context, lane string, due time.Time, ref Ref, max int) ([]Retry, error)
	// Oldest returns the first delivery of a lane in the log's order that waits or
	// is retrying.
	Oldest(ctx context.Context, lane string) (Ref, error)

	Delivery(ctx context.Context, r Ref) (*DeliveryStatus, error)
	// Deliveries returns all that the event at a position led to, by index and
	// with all attempts; ErrNotFound while it is not routed. What is committed
	// during the call may show in some and not in others.
	// Deliveries that retention has taken are left out, so the place in the list
	// need not be the index. Of the responses' bodies the first MaxBodies bytes
	// are given, counted by index and then by attempt: from the first body that
	// does not fit, all are nil. Delivery gives those.
	Deliveries(ctx context.Context, position uint64) ([]*DeliveryStatus, error)
	// DeliveriesFrom is Deliveries for up to max of them, from an index on.
	DeliveriesFrom(ctx context.Context, position uint64, from uint32, max int) ([]*DeliveryStatus, error)
	ListDeliveries(ctx context.Context, q DeliveryQuery) (deliveries []*DeliveryStatus, next string, err error)

	Document(ctx context.Context, kind, name string) ([]byte, error)
	// Documents returns all of a kind, by name.
	Documents(ctx context.Context, kind string) ([]Document, error)
	// DocumentsFrom returns up to max of a kind from a name on, that one included
	// where it is there. Short names come before long ones, and those of one length
	// in the order of their bytes, so that the first after a number can be looked up
	// where names end in numbers of one length.
	DocumentsFrom(ctx context.Context, kind, name string, max int) ([]Document, error)

	// Expire applies retention as of now. It works in bounded steps so that
	// commits go on meanwhile. What it ends by age changes lanes: it moves their
	// cursors, and outcomes of the same deliveries are then [ErrOutOfOrder], upon
	// which the owner of a lane reads the lane again.
	Expire(ctx context.Context, now time.Time) (Expired, error)

	// Err is nil while the store can commit events; else why not: ErrFull, or
	// the failure that stopped it.
	Err() error
	// Close waits for commits under way and releases everything.
	Close() error
}

// Message rebuilds the message of a delivery from its event.
func (r *Routing) Message(e *event.Event, d *Delivery) *event.Message {
	m := event.NewMessage(e)
	if d.Content < 0 || d.Content >= len(r.Contents) {
		return m
	}
	c := &r.Contents[d.Content]
	m.Type, m.Subject, m.ContentType, m.Data = c.Type, c.Subject, c.ContentType, c.Whole(e.Data)
	if c.HeaderChanged {
		m.Header = c.Header
	}
	m.SetHeader = c.SetHeader
	return m
}
