package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// pageLimit is the most that the API gives at once.
const pageLimit = 1000

// follow asks for the pages of a list, of type L, until it has limit things or all.
// add takes a page in, and says how many there are by then and where the next page
// begins. more: there are others beyond limit.
func follow[L any](ctx context.Context, c *client, path string, q url.Values, limit int, add func(*L) (have int, next string)) (more bool, err error) {
	for have := 0; have < limit; {
		q.Set("limit", strconv.Itoa(min(pageLimit, limit-have)))
		var page L
		if err := c.get(ctx, path, q, &page); err != nil {
			return false, err
		}
		next := ""
		if have, next = add(&page); next == "" {
			return false, nil
		}
		q.Set("cursor", next)
	}
	return true, nil
}

// sayMore tells a person that a list is not whole. It goes where no program reads.
func sayMore(cmd *cobra.Command, more bool, shown int) {
	if more {
		verb := "are"
		if shown == 1 {
			verb = "is"
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Only %d %s shown, and there are more: see them with a larger --limit, or choose by other flags.\n", shown, verb)
	}
}
