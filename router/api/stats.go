package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
)

// Stats answers /api/stats.
type Stats struct {
	// Since is when the window begins, which is at the beginning of a minute, a
	// quarter of an hour or an hour, and Until its end.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// StepSeconds is the time between two points, where there are any.
	StepSeconds float64    `json:"step_seconds,omitempty"`
	Rows        []StatsRow `json:"rows"`
	// More counts the rows that are left out: those with the fewest deliveries.
	More int `json:"more,omitempty"`
	// Queue is the most that waited in each step, for all destinations, where points
	// were asked for.
	Queue []QueuePoint `json:"queue,omitempty"`
}

// QueuePoint is the most that waited from Time on, for a step. It is looked at once
// a minute.
type QueuePoint struct {
	Time time.Time `json:"time"`
	// Depth is how many deliveries waited or were retrying, OldestSeconds the age of
	// the oldest event of them.
	Depth         uint64  `json:"depth"`
	OldestSeconds float64 `json:"oldest_seconds"`
}

// StatsRow is what happened to the deliveries of an event type, of a destination,
// of both, or of all.
type StatsRow struct {
	// Event is the event type, where the rows are by it; destination likewise.
	Event       string `json:"event,omitempty"`
	Destination string `json:"destination,omitempty"`
	// Webhook says which one the destination is, where it is registered now.
	Webhook *WebhookName `json:"webhook,omitempty"`
	// Events counts those that were routed; it is not known by destination.
	Events uint64 `json:"events,omitempty"`
	// Deliveries counts those that ended: Delivered and Dead. Cancelled ones are
	// apart.
	Deliveries uint64 `json:"deliveries"`
	Delivered  uint64 `json:"delivered"`
	Dead       uint64 `json:"dead"`
	Cancelled  uint64 `json:"cancelled"`
	// SuccessRate is Delivered of Deliveries, 0 to 1; null where none has ended.
	SuccessRate *float64 `json:"success_rate"`
	Attempts    uint64   `json:"attempts"`
	Retries     uint64   `json:"retries"`
	// Failures counts failed attempts by reason.
	Failures map[string]uint64 `json:"failures"`
	// Latency is how long attempts took. DeliveryLatency is the time from an
	// event's arrival to its success, waiting and retries included.
	Latency         StatsLatency `json:"latency"`
	DeliveryLatency StatsLatency `json:"delivery_latency"`
	// Depth is what waits and is retrying at this moment for the row's destination,
	// of whatever type, or for all; null where that is not known, as by event alone
	// or of a tenant. Oldest and OldestSeconds are of its oldest event, null and 0
	// where none waits.
	Depth         *uint64      `json:"depth"`
	Oldest        *time.Time   `json:"oldest"`
	OldestSeconds float64      `json:"oldest_seconds"`
	Points        []StatsPoint `json:"points,omitempty"`
}

// Waiting is what waits for a destination at this moment, or for several.
type Waiting struct {
	Depth uint64
	// Oldest is when the oldest event of it was received.
	Oldest time.Time
}

func (w *Waiting) add(o Waiting) {
	w.Depth += o.Depth
	if w.Oldest.IsZero() || !o.Oldest.IsZero() && o.Oldest.Before(w.Oldest) {
		w.Oldest = o.Oldest
	}
}

// StatsLatency is in milliseconds. Quantiles are within 1 %.
type StatsLatency struct {
	AverageMS float64 `json:"average_ms"`
	P50MS     float64 `json:"p50_ms"`
	P95MS     float64 `json:"p95_ms"`
	P99MS     float64 `json:"p99_ms"`
}

// StatsPoint is a row's counts from Time on, for a step.
type StatsPoint struct {
	Time      time.Time `json:"time"`
	Events    uint64    `json:"events"`
	Delivered uint64    `json:"delivered"`
	Dead      uint64    `json:"dead"`
	Failed    uint64    `json:"failed"`
	Retries   uint64    `json:"retries"`
	// Failures counts failed attempts by reason.
	Failures map[string]uint64 `json:"failures,omitempty"`
}

// maxPoints and maxRows bound the answer.
const (
	maxPoints = 500
	maxRows   = 1000
	// maxCells bounds rows times points: what is beyond is as with top.
	maxCells = 50_000
)

func (s *server) stats(c *fiber.Ctx) error {
	q := newQuery(c, "by", "window", "type", "destination", "tenant", "points", "top")
	ask := stats.Query{Type: q.text("type"), Destination: q.text("destination"), Tenant: q.text("tenant"), Until: s.now(), Window: 24 * time.Hour}
	if list := q.text("by"); list != "" {
		for by := range strings.SplitSeq(list, ",") {
			switch by {
			case "event":
				ask.ByType = true
			case "destination":
				ask.ByDestination = true
			default:
				q.fail("by is event, destination or both with a comma between, not %q", list)
			}
		}
	}
	if text := q.text("window"); text != "" {
		d, err := window(text)
		if err != nil || d <= 0 || d > stats.MaxWindow {
			q.fail("window is a time span up to 7d, such as 1h, 24h or 7d, not %q", text)
		}
		ask.Window = d
	}
	if text := q.text("points"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPoints {
			q.fail("points is a number from 1 to %d, not %q", maxPoints, text)
		}
		ask.Points = n
	}
	top := maxRows
	if text := q.text("top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxRows {
			q.fail("top is a number from 1 to %d, not %q", maxRows, text)
		}
		top = n
	}
	if ask.Points > 0 {
		top = min(top, maxCells/ask.Points)
	}
	several := c.Context().QueryArgs().PeekMulti("destination")
	if len(several) > 1 {
		if !ask.ByDestination {
			q.fail("several destinations have a row each: ask by=destination")
		}
		ask.Destination = ""
	}
	if q.err != nil {
		return q.err
	}
	a, err := s.engine.Stats().Ask(ask)
	if err != nil {
		return err
	}
	var waiting map[string]Waiting
	if saysWaiting(&ask) {
		if waiting, err = s.engine.Waiting(c.Context()); err != nil {
			return err
		}
	}
	out := Stats{Since: a.Since, Until: ask.Until.UTC(), StepSeconds: a.Step.Seconds(), Rows: make([]StatsRow, 0, len(a.Rows))}
	wanted := map[string]bool{}
	for _, name := range several {
		wanted[string(name)] = true
	}
	for i := range a.Rows {
		if len(several) < 2 || wanted[a.Rows[i].Destination] {
			out.Rows = append(out.Rows, statsRow(&a.Rows[i]))
		}
	}
	if saysWaiting(&ask) {
		out.Rows = withWaiting(out.Rows, &ask, waiting, out.Until)
	}
	if len(several) > 1 {
		out.Rows = slices.DeleteFunc(out.Rows, func(r StatsRow) bool { return !wanted[r.Destination] })
	}
	out.Rows, out.More = busiest(out.Rows, top)
	for i := range out.Rows {
		out.Rows[i].Webhook = s.webhookName(out.Rows[i].Destination)
	}
	for _, q := range a.Queues {
		out.Queue = append(out.Queue, QueuePoint{Time: q.Begin, Depth: q.Depth, OldestSeconds: q.Oldest.Round(time.Millisecond).Seconds()})
	}
	return give(c, out)
}

// busiest gives the rows with the most deliveries, in the order that they had, and
// counts the others.
func busiest(rows []StatsRow, top int) (most []StatsRow, more int) {
	if len(rows) <= top {
		return rows, 0
	}
	counts := make([]uint64, len(rows))
	for i := range rows {
		counts[i] = rows[i].Deliveries
	}
	slices.Sort(counts)
	least := counts[len(counts)-top]
	above, _ := slices.BinarySearch(counts, least+1)
	ties := top - (len(counts) - above) // how many of those that have least
	most = make([]StatsRow, 0, top)
	for _, r := range rows {
		if r.Deliveries == least {
			ties--
		}
		if r.Deliveries > least || r.Deliveries == least && ties >= 0 {
			most = append(most, r)
		}
	}
	return most, len(rows) - top
}

// saysWaiting reports whether rows say what waits. Lanes count that of all tenants and
// of all types.
func saysWaiting(q *stats.Query) bool {
	return q.Tenant == "" && (q.ByDestination || !q.ByType && q.Type == "")
}

// withWaiting says of rows what waits, and adds those of which nothing else is to be
// said.
func withWaiting(rows []StatsRow, q *stats.Query, waiting map[string]Waiting, now time.Time) []StatsRow {
	var all Waiting
	for name, w := range waiting {
		if q.Destination == "" || name == q.Destination {
			all.add(w)
		}
	}
	tell := func(r *StatsRow, w Waiting) {
		r.Depth = &w.Depth
		if !w.Oldest.IsZero() {
			r.Oldest, r.OldestSeconds = &w.Oldest, now.Sub(w.Oldest).Round(time.Millisecond).Seconds()
		}
	}
	told := map[string]bool{}
	for i := range rows {
		if !q.ByDestination {
			tell(&rows[i], all)
			continue
		}
		tell(&rows[i], waiting[rows[i].Destination])
		told[rows[i].Destination] = true
	}
	if q.ByType || q.Type != "" {
		return rows
	}
	if !q.ByDestination {
		if len(rows) == 0 && all.Depth > 0 {
			rows = append(rows, statsRow(&stats.Row{}))
			tell(&rows[0], all)
		}
		return rows
	}
	for name, w := range waiting {
		if name != store.RoutingLane && !told[name] && (q.Destination == "" || name == q.Destination) {
			r := statsRow(&stats.Row{})
			r.Destination = name
			tell(&r, w)
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b StatsRow) int { return strings.Compare(a.Destination, b.Destination) })
	return rows
}

// window is a duration that may be in days.
func window(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(min(n, 365)) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}

func statsRow(r *stats.Row) StatsRow {
	out := StatsRow{
		Event: r.Type, Destination: r.Destination, Events: r.Events,
		Deliveries: r.Delivered + r.Dead, Delivered: r.Delivered, Dead: r.Dead, Cancelled: r.Cancelled,
		Attempts: r.Attempts, Retries: r.Retries, Failures: r.Failures,
		Latency: statsLatency(r.Attempt), DeliveryLatency: statsLatency(r.Delivery),
	}
	if out.Failures == nil {
		out.Failures = map[string]uint64{}
	}
	if rate, ok := r.SuccessRate(); ok {
		out.SuccessRate = &rate
	}
	for _, p := range r.Points {
		out.Points = append(out.Points, StatsPoint{Time: p.Begin, Events: p.Events, Delivered: p.Delivered, Dead: p.Dead, Failed: p.Failed, Retries: p.Retries, Failures: p.Failures})
	}
	return out
}

func statsLatency(l stats.Latency) StatsLatency {
	return StatsLatency{AverageMS: milliseconds(l.Average), P50MS: milliseconds(l.P50), P95MS: milliseconds(l.P95), P99MS: milliseconds(l.P99)}
}
