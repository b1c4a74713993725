package plugins

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/sys"
)

// Class says what kind of fault ended a call.
type Class string

// The classes.
const (
	// ClassPlugin: the plugin answered with a negative result.
	ClassPlugin Class = "plugin"
	// ClassBadResult: it answered with a number that means nothing.
	ClassBadResult Class = "bad_result"
	// ClassTrap: its code trapped, such as by a panic or a pointer outside of
	// its memory.
	ClassTrap Class = "trap"
	// ClassExit: it ended its own process.
	ClassExit Class = "exit"
	// ClassMemory: it ran out of the memory that it may use.
	ClassMemory Class = "memory"
	// ClassDeadline: it took longer than its deadline.
	ClassDeadline Class = "deadline"
	// ClassStack: it called itself too deeply.
	ClassStack Class = "stack"
	// ClassInit: its weir_init refused, or it failed in another way before its
	// first event.
	ClassInit Class = "init"
)

// Error is a call, or the start of a plugin, that failed. It never stands for a
// fault of another call or plugin.
type Error struct {
	// Plugin is the plugin's name, Build the SHA-256 of its module in hex.
	Plugin, Build string
	Class         Class
	// Function is the export that failed, such as weir_transform.
	Function string
	// Text is for people: the guest's own message where it left one.
	Text string
	// Stderr is the end of what the guest wrote there, at most 4 KiB.
	Stderr string
	// Trace is the guest's call stack where the engine gave one.
	Trace string
	// Logs are the lines that the call logged before it failed.
	Logs []Log
	// Duration is the wall-clock time of the call.
	Duration time.Duration
}

func (e *Error) Error() string {
	return fmt.Sprintf("plugin %q: %s: %s", e.Plugin, e.Class, e.Text)
}

// Host reports whether the fault may be the host's, such as a machine that was
// too busy, so that trying again can help. A fault of the guest comes back each
// time.
func (e *Error) Host() bool { return e.Class == ClassDeadline }

// fault makes an [*Error] of what the engine returned for a function. ctx is the
// caller's, limited the one with the deadline.
func (i *instance) fault(ctx, limited context.Context, function string, err error, deadline time.Duration) error {
	stderr := i.stderr.String()
	var exit *sys.ExitError
	exited := errors.As(err, &exit)
	if exited && limited.Err() != nil {
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("plugin %q: %w", i.plugin.name, ctx.Err())
		case i.plugin.ctx.Err() != nil:
			return fmt.Errorf("plugin %q: %w", i.plugin.name, ErrClosed)
		}
		if ownMessage(stderr) == "" {
			return i.newError(ClassDeadline, function, fmt.Sprintf("%s took longer than %v", function, deadline))
		}
		// It had given up and was still printing its trace.
	}
	text, trace, _ := strings.Cut(err.Error(), "\nwasm stack trace:\n")
	class := ClassTrap
	switch {
	case strings.Contains(stderr, "stack overflow"), strings.Contains(stderr, "stack exceeds"), strings.Contains(text, "stack overflow"):
		class = ClassStack
	case strings.Contains(stderr, "out of memory"), i.memoryFull():
		class = ClassMemory
	case exited && limited.Err() == nil:
		class = ClassExit
		text = fmt.Sprintf("it called exit with code %d", exit.ExitCode())
	}
	if own := ownMessage(stderr); own != "" {
		text = own
	}
	if class == ClassMemory {
		text = fmt.Sprintf("%s (it may use %d bytes)", text, i.plugin.memory)
	}
	e := i.newError(class, function, text)
	e.Trace = strings.ReplaceAll(trace, "\t", "")
	return e
}

func (i *instance) newError(class Class, function, text string) *Error {
	e := &Error{
		Plugin: i.plugin.name, Build: i.plugin.info.SHA256, Class: class,
		Function: function, Text: text, Stderr: i.stderr.String(),
	}
	if i.call != nil {
		e.Logs = i.call.logs
		e.Duration = time.Since(i.call.started)
	}
	return e
}

// memoryFull reports whether the guest has grown to its cap.
func (i *instance) memoryFull() bool {
	return i.mod != nil && i.mod.Memory() != nil && int64(i.mod.Memory().Size()) >= i.plugin.memory
}

// ownMessage finds the line in which a language's runtime says why it gave up.
func ownMessage(stderr string) string {
	for line := range strings.SplitSeq(stderr, "\n") {
		for _, prefix := range []string{"panic: ", "fatal error: ", "thread '"} {
			if strings.HasPrefix(line, prefix) {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}
