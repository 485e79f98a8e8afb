package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// CommandError is a program that ended badly, with the end of what it wrote.
type CommandError struct {
	Command string
	Err     error
	Output  string
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: %v\n%s", e.Command, e.Err, e.Output)
}

func (e *CommandError) Unwrap() error { return e.Err }

// NetworkError is a server (the module proxy, Debian's archive, a release
// server) that could not be reached.
type NetworkError struct {
	What string
	Err  error
}

func (e *NetworkError) Error() string {
	var status statusError
	if errors.As(e.Err, &status) {
		return fmt.Sprintf("%s: the server answered %s", e.What, status)
	}
	return fmt.Sprintf("cannot reach %s; check the network and proxy settings: %v", e.What, e.Err)
}

func (e *NetworkError) Unwrap() error { return e.Err }

// statusError is an answer that is not a file, "404 Not Found".
type statusError string

func (e statusError) Error() string { return string(e) }

// ChecksumError is an input that is not what was pinned.
type ChecksumError struct {
	What string
	Err  error
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%s is not what was pinned, and was not used: %v", e.What, e.Err)
}

func (e *ChecksumError) Unwrap() error { return e.Err }

// runCommand runs cmd and all it starts, killed together when ctx ends.
// network names what the program talks to, for the error.
func runCommand(ctx context.Context, cmd *exec.Cmd, network string) error {
	var out tail
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	cmd.Stderr = &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return classify(&CommandError{Command: cmd.Args[0], Err: err, Output: distinct(out.String())}, network)
}

// distinct leaves out lines that were there before: programs that try again
// say the same again.
func distinct(text string) string {
	seen := map[string]bool{}
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if key := strings.TrimSpace(line); key == "" || !seen[key] {
			seen[key] = true
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// classify finds the well-known causes in what a program wrote.
func classify(err *CommandError, network string) error {
	for _, c := range []struct {
		words []string
		wrap  func(error) error
	}{
		{diskWords, func(err error) error { return &DiskFullError{Err: err} }},
		{checksumWords, func(err error) error { return &ChecksumError{What: "what " + network + " sent", Err: err} }},
		{networkWords, func(err error) error { return &NetworkError{What: network, Err: err} }},
	} {
		for _, w := range c.words {
			if strings.Contains(err.Output, w) {
				return c.wrap(err)
			}
		}
	}
	return err
}

var (
	diskWords     = []string{"no space left on device", "No space left on device", "disk quota exceeded", "Disk quota exceeded"}
	checksumWords = []string{"SECURITY ERROR", "checksum mismatch", "missing go.sum entry", "Hash Sum mismatch", "The following signatures were invalid", "NO_PUBKEY"}
	networkWords  = []string{"dial tcp", "no such host", "connection refused", "i/o timeout", "TLS handshake timeout", "proxyconnect tcp", "Could not resolve", "Could not connect", "Connection failed", "Temporary failure resolving", "Unable to connect", "module lookup disabled by GOPROXY=off", "server response:"}
)

func saysDiskFull(s string) bool {
	for _, w := range diskWords {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// tail keeps the last few kilobytes written to it.
type tail struct{ buf []byte }

const tailSize = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailSize {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	b := t.buf
	if len(b) > tailSize {
		b = b[len(b)-tailSize:]
	}
	return strings.TrimSpace(string(b))
}
