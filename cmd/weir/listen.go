package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
)

// listen is the command's state: what it asks for, and where it stands.
type listen struct {
	events   []string
	forward  string
	listener string
	count    int

	g      *globals
	client *client
	local  *http.Client
	cursor string
	out    io.Writer
	notes  io.Writer
}

func newListen(g *globals) *cobra.Command {
	l := &listen{g: g, local: &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Show events as they come, and forward them to a local URL",
		Long: `Show events as they come, from now on. With --forward each is posted to a URL as a
destination would be sent it, so that a receiver on this machine needs no public
address. It goes on where it was when the connection, or the router, comes back.
Another listen goes on with --listener; a listener is gone an hour after its last
request.`,
		Example: `  weir listen --events 'order.*'
  weir listen --forward http://localhost:3000/hooks
  weir listen --count 1 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l.out, l.notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return l.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&l.events, "events", nil, "only types that fit this `pattern`; * stands for any run of characters; may be repeated")
	f.StringVar(&l.forward, "forward", "", "post each event to this `URL`")
	f.StringVar(&l.listener, "listener", "", "go on with this listener, or with a pull destination of the configuration")
	f.IntVar(&l.count, "count", 0, "end after this many events; 0: never")
	return cmd
}

func (l *listen) run(cmd *cobra.Command) error {
	if l.forward != "" {
		u, err := url.Parse(l.forward)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return &exitError{code: 2, err: fmt.Errorf("--forward takes a URL such as http://localhost:3000/hooks, not %q", l.forward)}
		}
	}
	return askLive(cmd, l.g, func(ctx context.Context, c *client) error {
		l.client = c
		if l.listener == "" {
			if err := l.begin(ctx); err != nil {
				return err
			}
		}
		return l.loop(ctx)
	})
}

// begin makes a listener.
func (l *listen) begin(ctx context.Context) error {
	body, err := json.Marshal(map[string]any{"events": l.events})
	if err != nil {
		return err
	}
	var made api.Listener
	if err := l.client.post(ctx, "/api/listeners", body, &made); err != nil {
		return err
	}
	l.listener, l.cursor = made.Destination, made.Cursor
	fmt.Fprintf(l.notes, "listening; to go on later: weir listen --listener %s\n", l.listener)
	return nil
}

func (l *listen) loop(ctx context.Context) error {
	said := ""
	for ctx.Err() == nil {
		var page api.PullPage
		err := l.client.get(ctx, "/api/pull/"+url.PathEscape(l.listener), url.Values{"cursor": {l.cursor}, "wait": {"20s"}}, &page)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && strings.HasPrefix(l.listener, "lst_") && strings.Contains(err.Error(), "(destination_not_found)") && said != "":
			fmt.Fprintln(l.notes, "the listener is gone, another one begins now")
			if err := l.begin(ctx); err != nil {
				return err
			}
			continue
		case err != nil && strings.Contains(err.Error(), "no answer;"):
			if said != err.Error() {
				said = err.Error()
				fmt.Fprintf(l.notes, "%s: trying again\n", said)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		case err != nil:
			return err
		}
		if said != "" {
			said = ""
			fmt.Fprintln(l.notes, "connected again")
		}
		for i := range page.Messages {
			if ctx.Err() != nil {
				return nil
			}
			if err := l.take(ctx, &page.Messages[i]); err != nil {
				return err
			}
			if l.count--; l.count == 0 {
				return l.acknowledge(ctx, page.Messages[i].Cursor)
			}
		}
		if page.Next == l.cursor {
			continue
		}
		if err := l.acknowledge(ctx, page.Next); err != nil {
			return err
		}
	}
	return nil
}

// acknowledge tells the router what was seen. Where it can't be reached, the next
// one tells it.
func (l *listen) acknowledge(ctx context.Context, cursor string) error {
	l.cursor = cursor
	body, err := json.Marshal(map[string]string{"cursor": cursor})
	if err != nil {
		return err
	}
	err = l.client.post(ctx, "/api/pull/"+url.PathEscape(l.listener)+"/ack", body, &api.Acknowledged{})
	if err != nil && (strings.Contains(err.Error(), "no answer;") || ctx.Err() != nil) {
		return nil
	}
	return err
}

// seen is a message as -o json prints it, one a line.
type seen struct {
	api.PullMessage
	Forwarded *forwarded `json:"forwarded,omitempty"`
}

type forwarded struct {
	Status    int     `json:"status,omitempty"`
	Error     string  `json:"error,omitempty"`
	LatencyMS float64 `json:"latency_ms"`
}

// take shows a message, and forwards it first where that was asked for.
func (l *listen) take(ctx context.Context, m *api.PullMessage) error {
	s := seen{PullMessage: *m}
	if l.forward != "" {
		s.Forwarded = l.send(ctx, m)
	}
	if l.g.output == "json" {
		b, err := json.Marshal(s)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(l.out, "%s\n", b)
		return err
	}
	line := fmt.Sprintf("%s  %s  %s", clock(time.Now()), m.Headers["x-webhook-event"], m.WebhookID)
	if f := s.Forwarded; f != nil {
		result := f.Error
		if f.Status != 0 {
			result = fmt.Sprintf("%d %s", f.Status, http.StatusText(f.Status))
		}
		line += fmt.Sprintf("  → %s in %.1f ms", result, f.LatencyMS)
	}
	text := m.Body
	if m.BodyBase64 != nil {
		text = fmt.Sprintf("%d bytes that are not text", len(m.BodyBase64))
	}
	_, err := fmt.Fprintf(l.out, "%s\n    %s\n", printable(line), printable(text))
	return err
}

func (l *listen) send(ctx context.Context, m *api.PullMessage) *forwarded {
	body := []byte(m.Body)
	if m.BodyBase64 != nil {
		body = m.BodyBase64
	}
	started := time.Now()
	f := &forwarded{}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.forward, bytes.NewReader(body))
	if err == nil {
		req.Header.Set("User-Agent", "Weir/"+version)
		for name, v := range m.Headers {
			req.Header.Set(name, v)
		}
		var res *http.Response
		if res, err = l.local.Do(req); err == nil {
			f.Status = res.StatusCode
			_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection is kept
			err = res.Body.Close()
		}
	}
	if err != nil {
		f.Error = err.Error()
	}
	f.LatencyMS = float64(time.Since(started).Microseconds()) / 1000
	return f
}
