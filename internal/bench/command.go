package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Command is one call of a tool.
type Command struct {
	Program string
	Args    []string
	// Env are variables besides this process's own, "K=V".
	Env   []string
	Stdin string
	// Input is a file to read instead of Stdin, "" for none.
	Input string
	// Talk, if not nil, is where its stderr goes as it comes.
	Talk io.Writer
}

// Outcome is a command that has ended.
type Outcome struct {
	Took time.Duration
	// CPU is the processor time of the process and of the children it waited for.
	CPU    time.Duration
	Stdout string
}

// Runner runs a command to its end.
type Runner func(ctx context.Context, c Command) (Outcome, error)

// goodbye is how long an interrupted tool has to clean up.
const goodbye = 2 * time.Minute

// Exec is the Runner of real processes. When ctx ends the process is interrupted,
// so that it cleans up after itself, and killed if it does not. It is a process
// group of its own: a Ctrl-C is the bench's to pass on, once.
func Exec(ctx context.Context, c Command) (Outcome, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.Program, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.Stdin), &stdout, &stderr
	if c.Input != "" {
		input, err := os.Open(c.Input)
		if err != nil {
			return Outcome{}, fmt.Errorf("reading what %s is to read: %w", filepath.Base(c.Program), err)
		}
		defer input.Close()
		cmd.Stdin = input
	}
	if c.Talk != nil {
		cmd.Stderr = io.MultiWriter(&stderr, c.Talk)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = goodbye
	began := time.Now()
	err := cmd.Run()
	out := Outcome{Took: time.Since(began), Stdout: stdout.String()}
	if cmd.ProcessState != nil {
		out.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		// Without the other words: they are paths of this machine, and go into the table.
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(c.Program), c.Args[0], err, tail(stderr.String()))
	}
	return out, err
}

// tailLength bounds what is kept of a failed command's talk.
const tailLength = 1000

func tail(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > tailLength {
		text = "... " + text[len(text)-tailLength:]
	}
	return text
}
