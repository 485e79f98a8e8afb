// Package bootstrap runs what makes a control plane of a node, once, when the
// node boots: command lines that lie in it. Nothing outside takes part, so that
// no time is lost between them; whoever wants to know how it went waits for the
// result.
package bootstrap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/wait"
)

// Result is how a bootstrap ended, the content of nodespec.BootstrapResult.
type Result struct {
	// Error is "" if all commands ended well.
	Error string `json:"error,omitempty"`
}

// poll is how often Wait looks for the result.
const poll = 20 * time.Millisecond

// Run runs the commands below root ("" on a node) one after the other, with their
// output to out, and leaves the result. It does nothing where there is nothing to
// run, or a result already: the node was only started again.
func Run(ctx context.Context, root string, out io.Writer) error {
	commands, err := read(root)
	if err != nil || len(commands) == 0 {
		return err
	}
	result := filepath.Join("/", root, nodespec.BootstrapResult)
	if _, err := os.Stat(result); err == nil {
		return nil
	}
	err = runAll(ctx, commands, out)
	if ctx.Err() != nil {
		return ctx.Err() // the node stops; it is not known how it would have ended
	}
	var r Result
	if err != nil {
		r.Error = err.Error()
	}
	return errors.Join(err, write(result, r))
}

// Pending says whether the node has yet to make a control plane of itself.
func Pending(root string) bool {
	commands, err := read(root)
	if err != nil || len(commands) == 0 {
		return false
	}
	_, err = os.Stat(filepath.Join("/", root, nodespec.BootstrapResult))
	return errors.Is(err, os.ErrNotExist)
}

func read(root string) ([][]string, error) {
	text, err := os.ReadFile(filepath.Join("/", root, nodespec.BootstrapFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what to run: %w", err)
	}
	var commands [][]string
	if err := json.Unmarshal(text, &commands); err != nil {
		return nil, fmt.Errorf("reading what to run: %s: %w", nodespec.BootstrapFile, err)
	}
	return commands, nil
}

// tail is how much of a failed command's output goes into the error, in bytes.
const tail = 4 << 10

func runAll(ctx context.Context, commands [][]string, out io.Writer) error {
	for _, args := range commands {
		var said bytes.Buffer
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stdout = io.MultiWriter(out, &said)
		cmd.Stderr = cmd.Stdout
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, last(said.Bytes(), tail))
		}
	}
	return nil
}

// last is the last max bytes of text.
func last(text []byte, limit int) []byte {
	return bytes.TrimSpace(text[max(0, len(text)-limit):])
}

// write puts the result in place as a whole.
func write(file string, r Result) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(file+".new", text, 0o644)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		return fmt.Errorf("noting the result: %w", err)
	}
	return nil
}

// Wait returns when there is a result below root; an error is that of the
// bootstrap, or ctx's.
func Wait(ctx context.Context, root string) error {
	for {
		text, err := os.ReadFile(filepath.Join("/", root, nodespec.BootstrapResult))
		if err == nil {
			var r Result
			if err := json.Unmarshal(text, &r); err != nil {
				return fmt.Errorf("reading the result: %w", err)
			}
			if r.Error != "" {
				return errors.New(r.Error)
			}
			return nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("reading the result: %w", err)
		}
		if !wait.For(ctx, poll) {
			return ctx.Err()
		}
	}
}
