package attempt

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
)

// authorize takes over how a destination says who sends: by an auth block, by its
// headers, or by the user in its URL.
func (s *httpSender) authorize(c *config.Destination) error {
	given := sets(s.fields, "authorization")
	if c.Auth == nil {
		if c.Parsed.User != nil && !given {
			s.fields = append(s.fields, event.Field{Name: "Authorization", Value: basic(c.Parsed.User)})
		}
		return nil
	}
	if given {
		return errors.New("auth: the headers say authorization too")
	}
	switch c.Auth.Kind {
	case "basic":
		pair := c.Auth.Username + ":" + c.Auth.Password.Reveal()
		value := "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
		s.fields = append(s.fields, event.Field{Name: "Authorization", Value: value})
	case "bearer":
		value := "Bearer " + c.Auth.Token.Reveal()
		if err := checkField("Authorization", value); err != nil {
			return fmt.Errorf("auth: %w", err)
		}
		s.fields = append(s.fields, event.Field{Name: "Authorization", Value: value})
	case "oauth2":
		if s.guard != nil {
			return errors.New("auth: a stranger's destination has no oauth2")
		}
		s.tokens = holdTokens(c)
	default:
		return fmt.Errorf("auth: there is no kind %q", c.Auth.Kind)
	}
	return nil
}
