package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/problem"
)

type deadLettersPage struct {
	api.DeadLetterList
	Filter url.Values
	Next   string
	Back   string
}

var deadLetterFilters = []string{"destination", "type", "source", "tenant", "since", "until"}

func deadLetters(v *visit) (*view, error) {
	p := deadLettersPage{Filter: v.filter(deadLetterFilters...)}
	q, err := v.listed(deadLetterFilters...)
	if err != nil {
		return nil, err
	}
	if err := v.get("/api/dead-letters", q, &p.DeadLetterList); err != nil {
		return nil, err
	}
	p.Back = "/ui/dead-letters?" + p.Filter.Encode()
	p.Next = older("/ui/dead-letters", p.Filter, p.DeadLetterList.Next)
	shown := &view{Page: "dead-letters", Title: "Dead letters", Section: "dead-letters", Data: p}
	if v.query("cursor") == "" {
		shown.Live = "kinds=attempt"
	}
	return shown, nil
}

// step is how many deliveries one request of a long change moves, so that a page
// can show how far it is, and can stop.
const step = 500

// moving is a change of many deliveries that is under way: a form that asks for
// the next step, and goes on by itself where there are scripts.
type moving struct {
	// Title says what is done, Done what becomes of each, Section which part of the
	// dashboard it is in.
	Title, Done, Section string
	// Path is where the form goes, Fields what it carries, Back where it leads.
	Path   string
	Fields map[string]string
	Back   string
	// Moved and Skipped count what is done; Total is 0 where it is not known.
	Moved, Skipped int
	Total          int
}

func (m *moving) text() string {
	text := fmt.Sprintf("%s %s.", plural(m.Moved, "delivery"), m.Done)
	if m.Skipped > 0 {
		text += fmt.Sprintf(" %s being sent, or had changed.", plural(m.Skipped, "other")+" were")
	}
	return text
}

// went answers after a step of a change: with the page of what is under way, or the
// way back where nothing is left.
func (d *Dashboard) went(c *fiber.Ctx, m *moving, step *api.Moved) error {
	m.Moved += step.Moved
	m.Skipped += step.Skipped
	if step.Next == "" {
		return leadBack(c, m.Back, m.text())
	}
	m.Fields["cursor"] = step.Next
	m.Fields["back"] = m.Back
	m.Fields["moved"], m.Fields["skipped"], m.Fields["total"] = strconv.Itoa(m.Moved), strconv.Itoa(m.Skipped), strconv.Itoa(m.Total)
	return d.render(c, http.StatusOK, &view{Page: "moving", Title: m.Title, Section: m.Section, Data: m})
}

// far reads how far a change is from the form that asks for its next step.
func (m *moving) far(form url.Values) {
	for name, to := range map[string]*int{"moved": &m.Moved, "skipped": &m.Skipped, "total": &m.Total} {
		if n, err := strconv.Atoi(form.Get(name)); err == nil && n > 0 {
			*to = n
		}
	}
}

// moveDead retries or cancels one dead letter, those that are ticked, or all that
// the form's filter fits.
func (d *Dashboard) moveDead(verb, title, past string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if err := d.moveDeadBy(c, verb, title, past); err != nil {
			return d.refuse(c, err)
		}
		return nil
	}
}

func (d *Dashboard) moveDeadBy(c *fiber.Ctx, verb, title, past string) error {
	v := &visit{c: c, d: d}
	form, err := url.ParseQuery(string(c.Request().Body()))
	if err != nil {
		return problem.New(http.StatusBadRequest, "malformed_form", "the form can't be read: %v", err)
	}
	m := &moving{Title: title, Done: past, Section: "dead-letters", Path: "/ui/dead-letters/" + verb, Back: form.Get("back"), Fields: map[string]string{"which": "all"}}
	f := api.DeadLetterFilter{IDs: form["one"]}
	switch {
	case f.IDs != nil:
	case form.Get("which") != "all":
		if f.IDs = form["id"]; len(f.IDs) == 0 {
			return leadBack(c, m.Back, "Nothing was ticked.")
		}
	default:
		f.Type, f.Source, f.Destination, f.Tenant = form.Get("type"), form.Get("source"), form.Get("destination"), form.Get("tenant")
		if f.Since, f.Until, err = formTimes(d.now(), form); err != nil {
			return err
		}
		for _, name := range deadLetterFilters {
			if value := form.Get(name); value != "" {
				m.Fields[name] = value
			}
		}
		f.Limit, f.Cursor = step, form.Get("cursor")
		m.far(form)
		if f.Cursor == "" && f.Type == "" && f.Source == "" && f.Tenant == "" && f.Since.IsZero() && f.Until.IsZero() {
			var list api.DeadLetterList
			q := url.Values{"limit": {"1"}}
			if f.Destination != "" {
				q.Set("destination", f.Destination)
			}
			if err := v.get("/api/dead-letters", q, &list); err != nil {
				return err
			}
			m.Total = int(list.Total)
		}
	}
	var moved api.Moved
	if err := v.call(http.MethodPost, "/api/dead-letters/"+verb, nil, f, &moved); err != nil {
		return err
	}
	return d.went(c, m, &moved)
}

// cancelWaiting cancels what waits for a destination, as far as one call gets.
func (d *Dashboard) cancelWaiting(c *fiber.Ctx) error {
	v := &visit{c: c, d: d}
	path := "/destinations/" + v.param("name") + "/cancel"
	m := &moving{Title: "Cancelling what waits", Done: "cancelled", Section: "destinations", Path: "/ui" + path, Fields: map[string]string{}}
	form := v.form("back", "moved", "skipped", "total")
	m.Back = form.Get("back")
	m.far(form)
	var moved api.Moved
	if err := v.call(http.MethodPost, "/api"+path, nil, struct{}{}, &moved); err != nil {
		return d.refuse(c, err)
	}
	return d.went(c, m, &moved)
}

func (m *markup) deadLetterRows(list []api.Delivery) {
	for i := range list {
		d := &list[i]
		m.raw(rowOf(``) + `<input type="checkbox" name="id" value="`)
		m.text(d.ID)
		m.raw(`" aria-label="Tick `)
		m.text(d.ID)
		m.raw(`">`)
		m.in(`class="first wider key"`)
		m.deliveryLink(d)
		m.whose(d.Webhook)
		m.in(``)
		m.text(d.Type)
		m.in(`class="line"`)
		m.eventLink(d.EventID, d.Source)
		m.in(`class="line"`)
		m.outcome(d)
		m.in(``)
		m.time(d.Received)
		m.in(`class="last act"`)
		m.raw(`<button class="small" formaction="/ui/dead-letters/retry" name="one" value="`)
		m.text(d.ID)
		m.raw(`">Send again<span class="hidden"> `)
		m.text(d.ID)
		m.raw(`</span></button>`)
		m.raw(rowEnd)
	}
}
