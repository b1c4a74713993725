package plugins

import (
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
	// ClassFuel: it did more work than it may.
	ClassFuel Class = "fuel"
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
	// Fuel is what the call took until then, in units.
	Fuel int64
	// Duration is the wall-clock time of the call.
	Duration time.Duration
}

func (e *Error) Error() string {
	return fmt.Sprintf("plugin %q: %s: %s", e.Plugin, e.Class, e.Text)
}

// Broke reports whether the call left its instance unusable: it ran into a limit,
// trapped or exited. What a plugin decides itself does not.
func (e *Error) Broke() bool {
	switch e.Class {
	case ClassTrap, ClassExit, ClassFuel, ClassMemory, ClassStack, ClassDeadline:
		return true
	}
	return false
}

// Host reports whether the fault may be the host's, such as a machine that was
// too busy, so that trying again can help. A fault of the guest comes back each
// time.
func (e *Error) Host() bool { return e.Class == ClassDeadline }

// fault makes an [*Error] of what the engine returned for a function. reason is
// why the call was ended by the host, if it was.
func (i *instance) fault(function string, err, reason error) error {
	if reason != nil {
		return i.ended(reason, function)
	}
	stderr := i.stderr.String()
	text, trace, _ := strings.Cut(err.Error(), "\nwasm stack trace:\n")
	_, over := i.used()
	var exit *sys.ExitError
	class := ClassTrap
	own := ownMessage(stderr)
	switch {
	case over || errors.Is(err, errFuel):
		class = ClassFuel
		text, own = i.outOfFuel(function), ""
	case strings.Contains(stderr, "stack overflow"), strings.Contains(stderr, "stack exceeds"), strings.Contains(text, "stack overflow"):
		class = ClassStack
	case strings.Contains(stderr, "out of memory"), i.memoryFull():
		class = ClassMemory
	case errors.As(err, &exit):
		class = ClassExit
		text = fmt.Sprintf("it called exit with code %d", exit.ExitCode())
	}
	switch {
	case own != "":
		text = own
	case i.call.failText != "" && class == ClassTrap:
		text = i.call.failText // an SDK says why, and traps
	}
	if class == ClassMemory {
		text = fmt.Sprintf("%s (it may use %d bytes)", text, i.plugin.memory)
	}
	e := i.newError(class, function, text)
	e.Trace = strings.ReplaceAll(trace, "\t", "")
	return e
}

// ended is the error of a call that the host ended.
func (i *instance) ended(reason error, function string) error {
	if errors.Is(reason, errDeadline) {
		return i.newError(ClassDeadline, function, fmt.Sprintf("%s took longer than %v", function, i.watchdog.limit))
	}
	return fmt.Errorf("plugin %q: %w", i.plugin.name, reason)
}

func (i *instance) outOfFuel(function string) string {
	return fmt.Sprintf("%s is out of fuel: it may use %d units; raise `fuel` (or `init_fuel` for its start) if it needs more", function, i.spent.budget)
}

func (i *instance) newError(class Class, function, text string) *Error {
	e := &Error{
		Plugin: i.plugin.name, Build: i.plugin.info.SHA256, Class: class,
		Function: function, Text: text, Stderr: i.stderr.String(),
		Logs: i.call.logs, Duration: time.Since(i.call.started),
	}
	e.Fuel, _ = i.used()
	return e
}

// memoryFull reports whether the guest has grown to its cap.
func (i *instance) memoryFull() bool {
	return i.linear != nil && int64(i.linear.size) >= i.plugin.memory
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
