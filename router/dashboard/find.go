package dashboard

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// find leads to the event or the delivery of an id.
func (d *Dashboard) find(c *fiber.Ctx) error {
	id := strings.TrimSpace(c.Query("id"))
	to := "/ui/events"
	switch {
	case strings.HasPrefix(id, "dlv_"):
		to = "/ui/deliveries/" + url.PathEscape(id)
	case id != "":
		to = "/ui/events/" + url.PathEscape(id)
	}
	return c.Redirect(to, http.StatusSeeOther)
}
