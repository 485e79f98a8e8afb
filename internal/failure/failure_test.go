package failure_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kluster-project/kluster/internal/failure"
)

// foreign is an error type of another package that has opinions.
type foreign struct{}

func (foreign) Error() string { return "two problems" }
func (foreign) ExitCode() int { return failure.CodeUsage }
func (foreign) Hint() string  { return "see the schema" }

func TestCode(t *testing.T) {
	plain := errors.New("plain")
	tests := map[string]struct {
		err  error
		want int
	}{
		"nil":                   {nil, failure.CodeOK},
		"plain":                 {plain, failure.CodeFailed},
		"given":                 {failure.New("x", failure.Exit(failure.CodeHost)), failure.CodeHost},
		"wrapped":               {fmt.Errorf("a: %w", failure.New("x", failure.Exit(4))), 4},
		"another type":          {fmt.Errorf("a: %w", foreign{}), failure.CodeUsage},
		"hint alone says none":  {failure.With(foreign{}, failure.Hint("h")), failure.CodeUsage},
		"outermost wins":        {failure.With(foreign{}, failure.Exit(4)), failure.CodeHost},
		"joined":                {errors.Join(plain, foreign{}), failure.CodeUsage},
		"with several wrapped":  {fmt.Errorf("%w and %w", plain, foreign{}), failure.CodeUsage},
		"hint on a plain error": {failure.With(plain, failure.Hint("h")), failure.CodeFailed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := failure.Code(test.err); got != test.want {
				t.Errorf("Code = %d, want %d", got, test.want)
			}
		})
	}
}

func TestWithKeepsTheChain(t *testing.T) {
	cause := errors.New("cause")
	if err := failure.With(fmt.Errorf("doing: %w", cause), failure.Hint("h")); !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if failure.With(nil, failure.Exit(4)) != nil {
		t.Error("With(nil) is not nil")
	}
}

func TestPrint(t *testing.T) {
	long := strings.Repeat("line\n", 45)
	tests := map[string]struct {
		err  error
		want string
	}{
		"nil":   {nil, ""},
		"plain": {errors.New("it broke"), "error: it broke\n"},
		"everything": {
			fmt.Errorf("joining worker %q: %w", "k-worker-1", failure.New("kubeadm ended with code 1",
				failure.Output("E1 bad\r\nE2 worse\n"), failure.Log("/tmp/k.log"), failure.Hint("try %s", "again"), failure.Hint("or not"))),
			"error: joining worker \"k-worker-1\": kubeadm ended with code 1\n" +
				"  | E1 bad\n  | E2 worse\nlog: /tmp/k.log\nhint: try again\nhint: or not\n",
		},
		"several lines":      {errors.New("one\ntwo"), "error: one\n  two\n"},
		"the same hint once": {failure.With(foreign{}, failure.Hint("see the schema")), "error: two problems\nhint: see the schema\n"},
		"output in message":  {failure.New("ended: no such file", failure.Output("no such file\n")), "error: ended: no such file\n"},
		"long output": {
			failure.New("x", failure.Output(long)),
			"error: x\n  | (5 earlier lines left out)\n" + strings.Repeat("  | line\n", 40),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			failure.Print(&b, test.err)
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Errorf("Print (-want +got):\n%s", diff)
			}
		})
	}
}
