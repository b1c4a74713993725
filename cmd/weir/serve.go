package main

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router"
	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
)

// drain is how long a stop waits for attempts in flight.
const drain = 30 * time.Second

func newServe(g *globals) *cobra.Command {
	watching := false
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the router until it is told to stop",
		Long: `Run the router. SIGTERM or Ctrl-C stops it: attempts in flight finish, and what
was not sent stays in the store for the next start. A second signal stops at once.
SIGHUP reloads the configuration, see weir reload. With --watch, so does every change
of its files and modules; what is wrong with them is logged, and the old ones go on.
It prints nothing: what it has to say is its log, on standard error, which is JSON with
log { json = true }.`,
		Example: `  weir serve
  weir serve --config /etc/weir --watch`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := &files{path: g.config, vars: g.variables()}
			c, err := f.first(os.Stderr)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, f, watching)
		},
	}
	cmd.Flags().BoolVar(&watching, "watch", false, "reload when a file of the configuration or a module changes")
	return cmd
}

func serve(ctx context.Context, c *config.Config, f *files, watching bool) error {
	start := newStarting(os.Stderr, terminalOf(os.Stderr).width)
	log := hclog.New(&hclog.LoggerOptions{
		Name: "weir", Level: hclog.LevelFromString(c.Log.Level), JSONFormat: c.Log.JSON, Output: start,
	})
	attempt.UserAgent = "Weir/" + version
	// Libraries that write to the standard log must not write around ours.
	stdlog.SetFlags(0)
	stdlog.SetOutput(log.Named("library").StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}))
	stop, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	// Before anybody can see the router: until then a hang-up would end it.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	var pacing sync.WaitGroup
	pacing.Go(func() { paceMemory(stop) })
	defer pacing.Wait()
	defer cancel()

	// The addresses are taken first: a second router on them should not get as far
	// as the store.
	l, err := router.Listen(c.Server.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s (server.listen): %w", c.Server.Listen, err)
	}
	var admin net.Listener
	if c.Server.Admin != "" {
		if admin, err = router.Listen(c.Server.Admin); err != nil {
			return errors.Join(fmt.Errorf("listen on %s (server.admin): %w", c.Server.Admin, err), l.Close())
		}
	}
	r := router.Make(c, router.Options{Logger: log, CacheDir: cacheDir(c), Load: f.again, Starting: start.teller()})
	// They answer before the store is open: who asks then is told to come again.
	served := make(chan error, 2)
	go func() { served <- r.Serve(l) }()
	if admin != nil {
		go func() { served <- r.ServeAdmin(admin) }()
	}
	err = r.Open(stop)
	start.end()
	if err != nil {
		if stop.Err() != nil && errors.Is(err, context.Canceled) {
			log.Info("stopped before the router was ready")
			return nil
		}
		return err
	}
	if admin != nil {
		log.Info("everything but ingest is at", "address", shown(c, admin))
	}
	log.Info("ready", "address", shown(c, l), "sources", len(c.Sources), "routes", len(c.Routes),
		"destinations", len(c.Destinations), "plugins", len(c.Plugins), "config", c.Hash[:12])

	var look <-chan time.Time // nil: never
	var w watch
	if watching {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		look = ticker.C
		w.reset(f.read())
	}
wait:
	for {
		select {
		case <-hup:
			takeOver(stop, r, log)
			w.reset(f.read())
		case <-look:
			if read := f.read(); !read.Equal(w.read) { // a reload over HTTP came between
				w.reset(read)
			}
			if !w.due() {
				continue
			}
			log.Info("files have changed", "files", w.last.Changed(w.read))
			takeOver(stop, r, log)
			w.reset(f.read())
		case <-stop.Done():
			break wait
		case err = <-served:
			if err != nil {
				err = fmt.Errorf("serve HTTP: %w", err)
			}
			break wait
		}
	}
	cancel() // a second signal now ends the process at once
	log.Info("stopping: attempts in flight finish, what was not sent stays in the store")
	deadline, done := context.WithTimeout(context.Background(), drain)
	defer done()
	err = errors.Join(err, r.Close(deadline))
	log.Info("stopped")
	return err
}

// shown is how an address is written that the router listens on.
func shown(c *config.Config, l net.Listener) string {
	switch {
	case l.Addr().Network() == "unix":
		return "unix://" + l.Addr().String()
	case c.Server.TLS != nil:
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// takeOver is a reload by SIGHUP or by a change of files. Nobody is there to be
// asked, so it refuses what would leave deliveries without a destination.
func takeOver(ctx context.Context, r *router.Router, log hclog.Logger) {
	if _, err := r.ReloadFiles(ctx, false); err != nil {
		log.Error("reload refused, the old configuration goes on", "error", err)
	}
}

// cacheDir is where compiled plugins are kept between starts.
func cacheDir(c *config.Config) string { return filepath.Join(c.Store.Path, "plugins") }
