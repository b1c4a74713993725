package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/config"
)

// globals are the flags that every command has.
type globals struct {
	config string
	server string
	token  string
	output string
	vars   []string
}

// load reads the configuration, with the values of variables that --var gives.
func (g *globals) load(o config.Options) (*config.Config, *config.Report) {
	o.Vars = g.variables()
	return config.Load(g.config, o)
}

func (g *globals) variables() map[string]string {
	vars := map[string]string{}
	for _, v := range g.vars {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	return vars
}

// exitError ends the process with a code other than 1. A nil err prints
// nothing: the command has said what there is to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitCode is 0 done, 1 failed, 2 differences found or wrong usage.
func exitCode(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.code
	}
	return 1
}

// silent says that a command has already printed what is wrong.
func silent(err error) bool {
	var e *exitError
	return errors.As(err, &e) && e.err == nil
}

// envOr returns the environment's value of name, else fallback.
func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

func newRoot() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:           "weir",
		Short:         "Weir takes events in, stores them, and delivers them where your routes say",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	f := root.PersistentFlags()
	f.StringVarP(&g.config, "config", "c", envOr("WEIR_CONFIG", "router.hcl"), "a file, or a folder of *.hcl read in name order (WEIR_CONFIG)")
	f.StringArrayVar(&g.vars, "var", nil, "value of a variable, as `name=value`; may be repeated (WEIR_VAR_name)")
	f.StringVar(&g.server, "server", os.Getenv("WEIR_SERVER"), "address of a running router, such as http://127.0.0.1:8080 (WEIR_SERVER)")
	// Not its default, which help would show.
	f.StringVar(&g.token, "token", "", "token that the running router asks for (WEIR_TOKEN)")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if g.token == "" {
			g.token = os.Getenv("WEIR_TOKEN")
		}
		for _, v := range g.vars {
			if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
				return usage("--var %q is not name=value", v)
			}
		}
		return g.check()
	}
	f.StringVarP(&g.output, "output", "o", "text", "text or json")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{code: 2, err: err} })
	root.AddCommand(commands(g)...)
	strict(root)
	completeNames(root, g)
	return root
}
