// Command weir is the event router: it takes events in over HTTP, stores them,
// and delivers them as signed webhooks. Everything it does is in package
// router; here are only the commands.
package main

import (
	"fmt"
	"os"
)

func main() {
	err := newRoot().Execute()
	if err != nil && !silent(err) {
		fmt.Fprintln(os.Stderr, "weir: "+printable(err.Error()))
	}
	os.Exit(exitCode(err))
}
