// Package weir is the SDK for Weir plugins in Go. A plugin is a package main
// with an empty main function that exports weir_filter, weir_transform or both:
//
//	//go:wasmexport weir_transform
//	func transform() int32 {
//		return weir.Transform(func(m *weir.Message) error {
//			m.Remove("customer.email")
//			return m.Set("seen", true)
//		})
//	}
//
// Values are read and changed by paths: segments parted by dots, where digits
// are an index in an array ("items.0.price"), `\.` is a dot and `\\` a backslash
// in a key. The host finds them without parsing the rest of the event, which is
// ten times as fast as encoding/json in the guest, and leaves every other byte
// as it was.
//
// A path that can't be read is a mistake in the plugin: it panics. A panic
// becomes an error with its text, file and line, ends the event on this route
// only, and never reaches the router.
//
// Structs are decoded by the package typed beside this one, which says what that
// costs.
//
// The package uses nothing that TinyGo is known to lack. On platforms other than wasip1
// it compiles, for go vet and for tests of your own functions, but there is no
// host: every read finds nothing and every change fails.
package weir

import "errors"

// Drop is what a transform returns, wrapped or not, to give no result.
var Drop = errors.New("drop")

// Errors of changes.
var (
	// ErrNoPlace: the path leads through something that is neither object nor
	// array, or past the end of an array, or the event's data is not JSON.
	ErrNoPlace = errors.New("no such place")
	// ErrMalformed: the path, the name or the value can't be read, or a source
	// would not take such a type, subject or content type from a producer.
	ErrMalformed = errors.New("malformed path, name or value")
	// ErrNotAllowed: a filter can't change the message, and some headers and
	// types are the router's own.
	ErrNotAllowed = errors.New("not allowed here")
	// ErrLimit: more than 64 results or 4 MiB.
	ErrLimit = errors.New("over a limit of 64 results or 4 MiB")
)

// Filter runs f on the event and returns what weir_filter must return: the
// message is kept where f returns true, and an error ends the event on this
// route.
func Filter(f func(m *Message) (keep bool, err error)) int32 {
	return guard(func() (int32, error) {
		message = Message{}
		keep, err := f(&message)
		if keep {
			return 1, err
		}
		return 0, err
	})
}

// Transform runs f on the event and returns what weir_transform must return. The
// message as f leaves it is the result; after Emit the emitted ones are; where f
// returns [Drop] there is none. Any other error ends the event on this route.
func Transform(f func(m *Message) error) int32 {
	return guard(func() (int32, error) {
		message = Message{}
		m := &message
		err := f(m)
		drop := errors.Is(err, Drop)
		switch {
		case drop && m.emitted == 0:
			return 1, nil
		case drop:
			return 2, nil
		case m.emitted > 0:
			return 2, err
		}
		return 0, err
	})
}

// Init runs f and returns what weir_init must return. It is called once for each
// instance, before the first event, and can read the config and log, no more.
func Init(f func() error) int32 {
	return guard(func() (int32, error) { return 0, f() })
}

// guard turns an error or a panic of f into a negative result with its text.
func guard(f func() (int32, error)) (code int32) {
	defer rest()
	defer func() {
		if r := recover(); r != nil {
			hostFail("panic: " + panicText(r) + place())
			code = -1
		}
	}()
	code, err := f()
	if err != nil {
		hostFail(err.Error())
		return -1
	}
	return code
}

func panicText(r any) string {
	switch v := r.(type) {
	case error:
		return v.Error()
	case string:
		return v
	case interface{ String() string }:
		return v.String()
	}
	return "a value that is neither error nor string"
}

// Levels of [Log].
const (
	LevelTrace = 1 + iota
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
)

// Log writes a line to the router's log.
func Log(level int, text string) { hostLog(int32(level), text) }

// Info logs a line at level info.
func Info(text string) { Log(LevelInfo, text) }

// Warn logs a line at level warn.
func Warn(text string) { Log(LevelWarn, text) }

// Config returns the plugin's config, as the plugin block has it: null when it
// is unset.
func Config() Value {
	v, _ := read(fieldConfig)
	return v
}

// change turns the code of a change into an error.
func change(code int32) error {
	switch {
	case code >= 0:
		return nil
	case code == -1:
		return ErrNoPlace
	case code == -2:
		return ErrMalformed
	case code == -3:
		return ErrNotAllowed
	}
	return ErrLimit
}

const (
	fieldData = iota
	fieldType
	fieldID
	fieldSource
	fieldSubject
	fieldTime
	fieldContentType
	fieldMessage
	fieldConfig
	fieldRoute
	fieldTenant
)

// scratch is where reads go first, so that most need one call. A guest has one
// thread, and nothing keeps it.
var scratch [1024]byte

// message is the one of the call: a guest has one at a time.
var message Message

// encoded is where changes put their value, which the host copies.
var encoded [512]byte

// taken counts the bytes that were read, for rest.
var taken int

// pull calls a reading import until the buffer is large enough, and returns a
// copy of what it wrote. A negative code comes back as it is.
func pull(call func(buffer []byte) int32) ([]byte, int32) {
	n := call(scratch[:])
	if n < 0 {
		return nil, n
	}
	taken += int(n)
	b := make([]byte, n)
	if int(n) <= len(scratch) {
		copy(b, scratch[:])
		return b, n
	}
	return b, call(b)
}

func read(field int32) ([]byte, bool) {
	b, n := pull(func(buffer []byte) int32 { return hostRead(field, buffer) })
	return b, n >= 0
}

func readString(field int32) string {
	b, _ := read(field)
	return string(b)
}
