package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// commands lists every command; each has a file of its name. Completion is
// cobra's own.
func commands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newServe(g), newReload(g), newValidate(g), newFmt(g), newSend(g), newListen(g), newTail(g), newSink(g),
		newEvents(g), newDeliveries(g), newDeadLetters(g), newDestinations(g), newWebhooks(g), newExplain(g), newReplay(g),
		newPlugin(g), newDoctor(g), newVersion(g),
		newLater("plan"), newLater("test"), newLater("console"), newLater("graph"), newLater("bench"),
	}
}

// newLater is a command that Weir will have: it is refused by its name, whatever
// follows, and help does not show it.
func newLater(name string) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error { return usage("weir %s is not supported yet", name) },
	}
}

// strict makes wrong usage of cmd and all below it exit with 2, and an unknown
// subcommand an error: cobra would print the help and say nothing.
func strict(cmd *cobra.Command) {
	args := cmd.Args
	if !cmd.Runnable() {
		args = unknownCommand
		cmd.SuggestionsMinimumDistance = 2
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error {
			if err := args(cmd, given); err != nil {
				return &exitError{code: 2, err: fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf(", did you mean %s?", near[0])
	}
	return fmt.Errorf("%s", text)
}
