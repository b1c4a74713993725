package dashboard

import (
	"fmt"
	"html"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2/utils"

	"github.com/weirhq/weir/router/api"
)

// markup is HTML of what pages have many of: rows, and what is in them. Templates
// look up each field by its name, which for a page of rows takes longer than to find
// them.
//
// What comes from outside is only ever added by text, path and param.
type markup struct {
	b   []byte
	now time.Time
}

// written is HTML from this package's source: a string that is not a constant is no
// such thing, unless somebody says so.
type written string

// roomForRow is about how many bytes a row takes.
const roomForRow = 768

// rows gives a template what write makes of so many.
func (d *Dashboard) rows(n int, write func(*markup)) template.HTML {
	m := markup{now: d.now(), b: make([]byte, 0, n*roomForRow)}
	write(&m)
	return template.HTML(utils.UnsafeString(m.b)) // nobody changes the bytes any more
}

func (m *markup) raw(w written) { m.b = append(m.b, w...) }

// text adds what can be content of an element, or of an attribute in double quotes.
func (m *markup) text(s string) { m.b = append(m.b, html.EscapeString(s)...) }

// path adds a segment of the path of a link, param the value of a parameter in it.
func (m *markup) path(s string)  { m.b = append(m.b, html.EscapeString(url.PathEscape(s))...) }
func (m *markup) param(s string) { m.b = append(m.b, html.EscapeString(url.QueryEscape(s))...) }

// quiet adds a remark, where there is one.
func (m *markup) quiet(before written, s string, after written) {
	if s == "" {
		return
	}
	m.raw(` <span class="quiet">`)
	m.raw(before)
	m.text(s)
	m.raw(after)
	m.raw(`</span>`)
}

// Rows and cells say what they are: on a narrow screen they are laid out as cards, by
// which some browsers would forget it.
const rowEnd written = "</td></tr>\n"

// rowOf begins a row, whose first cell has a class.
func rowOf(class written) written {
	return "<tr role=\"row\">\n<td role=\"cell\" class=\"" + class + `">`
}

// in begins the next cell, which has a class and what else the text says.
func (m *markup) in(attributes written) {
	m.raw(`</td><td role="cell" `)
	m.raw(attributes)
	m.raw(`>`)
}

// under adds a second line to a cell, where there is one.
func (m *markup) under(s string) {
	if s == "" {
		return
	}
	m.raw(`<span class="quiet under">`)
	m.text(s)
	m.raw(`</span>`)
}

// number adds to a row a cell with a number, and on a narrow screen what it counts.
func (m *markup) number(n uint64, of written) {
	m.in(`class="number" data-after="` + of + `"`)
	m.count(n)
}

func (m *markup) count(n uint64) {
	if n < 1000 {
		m.b = strconv.AppendUint(m.b, n, 10)
		return
	}
	m.b = append(m.b, group(strconv.FormatUint(n, 10))...)
}

// badge shows a status or state as a word in its colour.
func (m *markup) badge(status string) {
	m.raw(`<span class="badge `)
	m.raw(written(tone(status)))
	m.raw(`">`)
	m.text(statusWord(status))
	m.raw(`</span>`)
}

// time shows when something was by how long ago, and exactly to who points at it.
func (m *markup) time(t time.Time) {
	t = t.UTC()
	m.raw(`<time datetime="`)
	at := len(m.b)
	m.b = t.AppendFormat(m.b, time.RFC3339Nano)
	stamp := m.b[at:]
	m.raw(`" title="`)
	if len(stamp) > 19 && stamp[10] == 'T' { // clockLayout has the same figures
		m.b = append(append(m.b, stamp[:10]...), ' ')
		m.b = append(append(m.b, stamp[11:19]...), " UTC"...)
	} else {
		m.b = t.AppendFormat(m.b, clockLayout)
	}
	m.raw(`">`)
	m.raw(written(ago(m.now, t)))
	m.raw(`</time>`)
}

// eventLink leads to an event's page.
func (m *markup) eventLink(id, source string) {
	m.raw(`<a class="id" href="/ui/events/`)
	m.path(id)
	m.raw(`?source=`)
	m.param(source)
	m.raw(`">`)
	m.text(id)
	m.raw(`</a>`)
}

// destinationLink leads to a destination's page.
func (m *markup) destinationLink(name string) {
	m.raw(`<a href="/ui/destinations/`)
	m.path(name)
	m.raw(`">`)
	m.text(name)
	m.raw(`</a>`)
}

// whose adds a line that says which webhook a destination is, where it is one.
func (m *markup) whose(w *api.WebhookName) {
	if w != nil {
		m.under(whose(w.Tenant, w.UID, w.URL))
	}
}

// whose is what people know a webhook by: its tenant and uid, else the host it is sent
// to. It is empty for what is no webhook, whose name says enough.
func whose(tenant, uid, address string) string {
	switch {
	case tenant != "" && uid != "":
		return tenant + "/" + uid
	case tenant != "" || uid != "":
		return tenant + uid
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// outcome says what the last attempt of a delivery met, and how it stands with it
// since.
func (m *markup) outcome(d *api.Delivery) {
	between := written(``)
	if n := len(d.Attempts); n > 0 {
		last := &d.Attempts[n-1]
		m.text(describeOutcome(last.Outcome, last.Status))
		m.raw(` <span class="quiet whole">in `)
		m.raw(written(milliseconds(last.LatencyMS)))
		if last.Number > 1 || last.Outcome != "delivered" { // at once is how it should be
			m.raw(`, attempt `)
			m.b = strconv.AppendInt(m.b, int64(last.Number), 10)
		}
		m.raw(`</span>`)
		between = `; `
	}
	switch {
	case d.Status == "dead":
		m.raw(between)
		m.text(describeEnd(d.Reason))
		m.quiet(`(`, d.Note, `)`)
	case d.Due != nil:
		m.raw(between)
		if d.Due.After(m.now) {
			m.raw(`again `)
			m.raw(written(until(m.now, *d.Due)))
		} else {
			m.raw(`due now`)
		}
	case d.Note != "":
		m.raw(between)
		m.text(d.Note)
	}
}

// columns are the heads of a table: "#Size" is of numbers, "-Act" only for those who
// listen.
func columns(names ...string) template.HTML {
	m := markup{b: make([]byte, 0, 64*(len(names)+1))}
	m.raw(`<thead role="rowgroup"><tr role="row">`)
	for _, name := range names {
		m.raw(`<th scope="col" role="columnheader"`)
		if name, ok := strings.CutPrefix(name, "#"); ok {
			m.raw(` class="number">`)
			m.text(name)
		} else if name, ok := strings.CutPrefix(name, "-"); ok {
			m.raw(`><span class="hidden">`)
			m.text(name)
			m.raw(`</span>`)
		} else {
			m.raw(`>`)
			m.text(name)
		}
		m.raw(`</th>`)
	}
	m.raw(`</tr></thead>`)
	return template.HTML(m.b)
}

// part is a single thing for a template.
func (d *Dashboard) part(write func(*markup)) template.HTML {
	m := markup{now: d.now(), b: make([]byte, 0, 128)}
	write(&m)
	return template.HTML(m.b)
}

// markups are the parts that templates use, too.
func (d *Dashboard) markups() template.FuncMap {
	return template.FuncMap{
		"columns": columns,
		"badge":   func(status string) template.HTML { return d.part(func(m *markup) { m.badge(status) }) },
		"time":    func(t any) template.HTML { return d.part(func(m *markup) { m.time(when(t)) }) },
		"outcome": func(x any) (template.HTML, error) {
			switch x := x.(type) {
			case api.Delivery:
				return d.part(func(m *markup) { m.outcome(&x) }), nil
			case deliveryPage:
				return d.part(func(m *markup) { m.outcome(&x.Delivery) }), nil
			}
			return "", fmt.Errorf("%T is no delivery", x)
		},
		"eventRows": func(list []api.Event) template.HTML { return d.rows(len(list), func(m *markup) { m.eventRows(list) }) },
		"deliveryRows": func(list []api.Delivery) template.HTML {
			return d.rows(len(list), func(m *markup) { m.deliveryRows(list) })
		},
		"deadLetterRows": func(list []api.Delivery) template.HTML {
			return d.rows(len(list), func(m *markup) { m.deadLetterRows(list) })
		},
		"destinationRows": func(p destinationsPage) template.HTML {
			return d.rows(len(p.Destinations), func(m *markup) { m.destinationRows(&p) })
		},
		"webhookRows": func(list []api.Webhook) template.HTML {
			return d.rows(len(list), func(m *markup) { m.webhookRows(list) })
		},
		"statsRows": func(list []api.StatsRow) template.HTML {
			return d.rows(len(list), func(m *markup) { m.statsRows(list) })
		},
	}
}
