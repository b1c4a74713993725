package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/stream"
)

// tail is the command's state.
type tail struct {
	events, destination, tenant string
	kinds                       []string
	count                       int

	g      *globals
	client *client
	out    io.Writer
	notes  io.Writer
	terminal
	last string // ID of the item that was seen last
}

func newTail(g *globals) *cobra.Command {
	t := &tail{g: g}
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show what happens, as it happens: events with their verdict, attempts, changes of state",
		Long: `Show what happens in the running router, from now on: each event as it is routed, with
the routes that took it, each attempt and how it ended, and each change of a
destination's state. When the connection is lost it is made again, and nothing is
missed if that takes less than a minute. With -o json, each line is a JSON object.`,
		Example: `  weir tail
  weir tail --events 'order.*' --kinds attempt
  weir tail --destination crm -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.out, t.notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
			t.terminal = terminalOf(t.out)
			return t.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.events, "events", "", "only types that fit this `pattern`; * stands for any run of characters")
	f.StringVar(&t.destination, "destination", "", "only attempts at, and changes of, this destination")
	f.StringVar(&t.tenant, "tenant", "", "only this tenant's")
	f.StringSliceVar(&t.kinds, "kinds", nil, "only these: event, attempt, state")
	f.IntVar(&t.count, "count", 0, "end after this many lines; 0: never")
	return cmd
}

func (t *tail) run(cmd *cobra.Command) error {
	return askLive(cmd, t.g, func(ctx context.Context, c *client) error {
		t.client = c
		said := false
		for {
			err := t.follow(ctx)
			switch {
			case ctx.Err() != nil || errors.Is(err, errEnough):
				return nil
			case !errors.Is(err, errCut):
				return err
			}
			if !said {
				said = true
				fmt.Fprintln(t.notes, "the connection is lost: trying again")
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
		}
	})
}

var (
	// errCut says that the connection ended, and may be made again.
	errCut = errors.New("the connection is lost")
	// errEnough says that as many lines were shown as were asked for.
	errEnough = errors.New("enough")
)

// follow shows what one connection brings.
func (t *tail) follow(ctx context.Context) error {
	q := url.Values{}
	for name, value := range map[string]string{"events": t.events, "destination": t.destination, "tenant": t.tenant, "kinds": strings.Join(t.kinds, ",")} {
		if value != "" {
			q.Set(name, value)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.client.base+"/api/stream?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	if t.last != "" {
		req.Header.Set("Last-Event-ID", t.last)
	}
	res, err := t.client.stream(req)
	if err != nil {
		if t.last == "" {
			return fmt.Errorf("no answer; is the router running? %w", err)
		}
		return errCut
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		if err != nil || res.StatusCode == http.StatusServiceUnavailable && t.last != "" {
			return errCut
		}
		return answerError(res, answer)
	}
	in := bufio.NewScanner(res.Body)
	in.Buffer(nil, 8<<20)
	var name, data string
	for in.Scan() {
		switch key, value, _ := strings.Cut(in.Text(), ": "); key {
		case "id":
			t.last = value
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if data == "" {
				continue
			}
			if err := t.show(name, data); err != nil {
				return err
			}
			name, data = "", ""
			if t.count--; t.count == 0 {
				return errEnough
			}
		}
	}
	if t.last == "" {
		t.last = "-" // from here on it is worth trying again
	}
	return errCut
}

func (t *tail) show(name, data string) error {
	if name == "missed" {
		var m api.StreamMissed
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			return fmt.Errorf("the stream: %w", err)
		}
		t.count++ // this is no line of it
		what := "some lines are missing"
		if m.Count > 0 {
			what = fmt.Sprintf("%d lines are missing", m.Count)
		}
		_, err := fmt.Fprintln(t.notes, what+": more happened than could be shown, or the router was started anew")
		return err
	}
	if t.g.output == "json" {
		_, err := fmt.Fprintln(t.out, data)
		return err
	}
	line, err := t.line(stream.Kind(name), []byte(data))
	if err != nil {
		return fmt.Errorf("the stream: %w", err)
	}
	_, err = fmt.Fprintln(t.out, line)
	return err
}

// line is an item in words.
func (t *tail) line(kind stream.Kind, data []byte) (string, error) {
	switch kind {
	case stream.KindEvent:
		var e api.StreamEvent
		if err := json.Unmarshal(data, &e); err != nil {
			return "", err
		}
		to := "no route took it"
		switch {
		case len(e.Destinations) > 0:
			to = "→ " + strings.Join(e.Destinations, ", ")
		case len(e.Failed) > 0:
			to = t.paint(red, printable("a plugin failed on "+strings.Join(e.Failed, ", ")))
		case len(e.Routes) > 0:
			to = "dropped by " + strings.Join(e.Routes, ", ")
		}
		return printable(fmt.Sprintf("%s  event    %s %s from %s ", clock(e.Time), e.Type, e.EventID, e.Source)) + to, nil
	case stream.KindAttempt:
		var a api.StreamAttempt
		if err := json.Unmarshal(data, &a); err != nil {
			return "", err
		}
		colour, outcome := green, a.Outcome
		if a.Outcome != "delivered" {
			colour = red
		}
		if a.Status != 0 {
			outcome = fmt.Sprintf("%s %d", outcome, a.Status)
		}
		line := printable(fmt.Sprintf("%s  attempt  %s %s → %s  ", clock(a.Time), a.Type, a.EventID, a.Destination)) +
			t.paint(colour, printable(outcome)) + fmt.Sprintf(" in %s", short(time.Duration(a.LatencyMS*float64(time.Millisecond))))
		if a.Number > 1 || a.Outcome != "delivered" {
			line += fmt.Sprintf(", attempt %d", a.Number)
		}
		if a.Due != nil {
			line += ", again " + clock(*a.Due)
		} else if a.State != "delivered" {
			line += ", " + a.State
		}
		return line, nil
	case stream.KindState:
		var s api.StreamState
		if err := json.Unmarshal(data, &s); err != nil {
			return "", err
		}
		line := printable(fmt.Sprintf("%s  state    %s is %s", clock(s.Time), s.Destination, s.State))
		if s.Reason != "" {
			line += printable(": " + s.Reason)
		}
		return line, nil
	}
	return printable(string(kind) + " " + string(data)), nil
}
