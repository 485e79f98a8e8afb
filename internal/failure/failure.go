// Package failure carries what a person needs from where an error happened to
// where it is printed: hints on what to try next, the exit code, the output of
// the command that failed and the place of its log.
//
// It imports nothing of kluster. An error type of another package takes part by
// having a method: ExitCode() int, Hint() string, Output() string, LogPath()
// string.
package failure

import (
	"errors"
	"fmt"
)

// Exit codes of the kluster command.
const (
	CodeOK          = 0
	CodeFailed      = 1   // kluster failed
	CodeUsage       = 2   // bad flags or configuration
	CodeTests       = 3   // tests ran and failed
	CodeHost        = 4   // the host is not fit
	CodeInterrupted = 130 // Ctrl-C
)

// ErrInterrupted is the cause of a context that a signal ended.
var ErrInterrupted = errors.New("interrupted")

// Error is an error with what a person needs besides. Make it with New or With.
type Error struct {
	err    error
	code   int
	hints  []string
	output string
	log    string
}

// Option adds one thing to an Error.
type Option func(*Error)

// Exit sets the exit code; without it the code is that of the cause, or 1.
func Exit(code int) Option { return func(e *Error) { e.code = code } }

// Hint adds a line on what to try next, without a full stop at its end.
// It may be given several times.
func Hint(format string, args ...any) Option {
	return func(e *Error) { e.hints = append(e.hints, fmt.Sprintf(format, args...)) }
}

// Output attaches what the failed command printed.
func Output(text string) Option { return func(e *Error) { e.output = text } }

// Log says where the full log is.
func Log(path string) Option { return func(e *Error) { e.log = path } }

// New makes an error of a message.
func New(message string, opts ...Option) error { return With(errors.New(message), opts...) }

// With adds to err without changing its message. It returns nil for nil.
func With(err error, opts ...Option) error {
	if err == nil {
		return nil
	}
	e := &Error{err: err}
	for _, opt := range opts {
		opt(e)
	}
	return e
}

// Error is the message of the error it was made of.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap gives the error it was made of.
func (e *Error) Unwrap() error { return e.err }

// ExitCode is the code given with Exit, 0 if none was.
func (e *Error) ExitCode() int { return e.code }

// Hints are the hints given to this error, not those of its causes.
func (e *Error) Hints() []string { return e.hints }

// Output is what the failed command printed.
func (e *Error) Output() string { return e.output }

// LogPath is where the full log is.
func (e *Error) LogPath() string { return e.log }
