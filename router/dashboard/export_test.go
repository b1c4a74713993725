package dashboard

import (
	"strings"
	"time"
)

// Moving is the page of a change in steps that is under way, without the thousands
// of deliveries that it takes to see one.
func Moving() (string, error) {
	d, err := New(Options{})
	if err != nil {
		return "", err
	}
	m := &moving{
		Title: "Sending dead letters again", Done: "will be sent again", Path: "/ui/dead-letters/retry", Back: "/ui/dead-letters",
		Fields: map[string]string{"which": "all", "cursor": "x"}, Moved: 1500, Skipped: 2, Total: 12_345,
	}
	var b strings.Builder
	err = d.pages["moving"].Execute(&b, map[string]any{
		"View": &view{Page: "moving", Title: m.Title, Section: "dead-letters", Data: m}, "Version": "", "Now": time.Now(), "Done": "", "SignedIn": true,
	})
	// A script would ask for the next step.
	return strings.Replace(b.String(), " data-go-on", "", 1), err
}
