package providertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest/program"
)

// TestExec runs commands that end well.
func (s *suite) TestExec(t *testing.T) {
	id := s.start(t, "a").ID
	big := strings.Repeat("0123456789", 100_000)
	for _, test := range []struct {
		name string
		cmd  provider.Command
		want string
	}{
		{"stdout", provider.Command{Args: []string{"echo", "a", "b c"}}, "a b c\n"},
		{"stdin", provider.Command{Args: []string{"cat"}, Stdin: strings.NewReader("text")}, "text"},
		{"much stdin", provider.Command{Args: []string{"cat"}, Stdin: strings.NewReader(big)}, big},
		{"environment", provider.Command{Args: []string{"env", "WORD"}, Env: []string{"WORD=x y"}}, "x y\n"},
		{"directory", provider.Command{Args: []string{"pwd"}, Dir: "/data"}, "/data\n"},
		{"unread stdin", provider.Command{Args: []string{"echo"}, Stdin: strings.NewReader("text")}, "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			test.cmd.Args = append([]string{program.Path}, test.cmd.Args...)
			test.cmd.Stdout, test.cmd.Stderr = &stdout, &stderr
			if err := s.p.Exec(t.Context(), id, test.cmd); err != nil {
				t.Fatal(err)
			}
			if stdout.String() != test.want || stderr.Len() != 0 {
				t.Errorf("got %.80q and %.80q on stderr, want %.80q", stdout.String(), stderr.String(), test.want)
			}
		})
	}
}

// TestExecErrors runs commands that end badly.
func (s *suite) TestExecErrors(t *testing.T) {
	node := s.start(t, "a")
	for _, test := range []struct {
		name   string
		args   []string
		stderr io.Writer
		code   int
		output string
	}{
		{"code and stderr", []string{"fail", "3", "because"}, nil, 3, "because\n"},
		{"stderr was asked for", []string{"fail", "4", "because"}, io.Discard, 4, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{program.Path}, test.args...)
			err := s.p.Exec(t.Context(), node.ID, provider.Command{Args: args, Stderr: test.stderr})
			var got *provider.ExecError
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want an ExecError", err)
			}
			want := provider.ExecError{Node: node.Name, Args: args, Code: test.code, Output: test.output}
			if diff := cmp.Diff(want, *got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("stopped node", func(t *testing.T) {
		if err := s.p.StopNode(t.Context(), node.ID, time.Second); err != nil {
			t.Fatal(err)
		}
		err := s.p.Exec(t.Context(), node.ID, provider.Command{Args: []string{program.Path, "echo"}})
		if err == nil {
			t.Error("a command ran in a stopped node")
		}
	})
}

// TestExecCancel ends a command that would last for ever: Exec returns, and the
// command is no longer there.
func (s *suite) TestExecCancel(t *testing.T) {
	id := s.start(t, "a").ID
	ctx, cancel := context.WithCancel(t.Context())
	started, stdout := io.Pipe()
	ended := make(chan error, 1)
	word := "word-" + randomText()
	go func() {
		ended <- s.p.Exec(ctx, id, provider.Command{Args: []string{program.Path, "hold", word}, Stdout: stdout})
	}()
	buf := make([]byte, len(word))
	if _, err := io.ReadFull(started, buf); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, started) }() // a provider may have more to write
	defer started.Close()
	if got := s.held(t, id, word); got != 1 {
		t.Errorf("%d processes run before the end, want 1", got)
	}
	cancel()
	select {
	case err := <-ended:
		wantIs(t, err, context.Canceled)
	case <-time.After(30 * time.Second):
		t.Fatal("Exec did not return")
	}
	if got := s.held(t, id, word); got != 0 {
		t.Errorf("%d processes run after the end, want none", got)
	}
}

// held counts the commands with word among their arguments.
func (s *suite) held(t *testing.T, id, word string) int {
	t.Helper()
	count, err := strconv.Atoi(strings.TrimSpace(s.output(t, id, "ps", word)))
	if err != nil {
		t.Fatal(err)
	}
	return count
}
