// The plugin stdio-total adds up an order's items. It is a plain program: it reads
// the event as JSON on stdin and writes what shall be sent on stdout, with nothing
// but the standard library. Any language that compiles to a WASI command can do so.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type order struct {
	Items []struct {
		Cents    int64 `json:"cents"`
		Quantity int64 `json:"quantity"`
	} `json:"items"`
}

func main() {
	if err := run(); err != nil {
		// An exit code that is not 0 makes the event a dead letter, with this text.
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	// The members of the message that are not looked at go back as they came.
	var message map[string]json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&message); err != nil {
		return fmt.Errorf("the event: %w", err)
	}
	var data map[string]json.RawMessage
	var o order
	if err := json.Unmarshal(message["data"], &data); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if err := json.Unmarshal(message["data"], &o); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if len(o.Items) == 0 {
		return nil // nothing on stdout: nothing is sent
	}
	var total int64
	for n, item := range o.Items {
		if item.Quantity < 1 {
			return fmt.Errorf("item %d has the quantity %d", n, item.Quantity)
		}
		total += item.Cents * item.Quantity
	}
	var err error
	if data["total_cents"], err = json.Marshal(total); err != nil {
		return err
	}
	if message["data"], err = json.Marshal(data); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(message)
}
