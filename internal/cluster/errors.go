package cluster

import (
	"fmt"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
)

// inputError is a user's mistake: exit code 2.
type inputError struct{ error }

func (e *inputError) Unwrap() error { return e.error }
func (e *inputError) ExitCode() int { return 2 }

// ambiguousError is a verb on one cluster where there are several.
type ambiguousError struct{ names []string }

func (e *ambiguousError) Error() string {
	return fmt.Sprintf("there are %d clusters: %s", len(e.names), strings.Join(e.names, ", "))
}
func (e *ambiguousError) ExitCode() int { return 2 }

// Hint says how to choose.
func (e *ambiguousError) Hint() string { return "choose one with --cluster NAME" }

// What can be wrong with a node image.
var (
	errNoImage = failure.New("the engine does not hold it",
		failure.Hint("kluster build node-image makes one; kluster get images lists what there is"))
	errNotNodeImage = failure.New("it is not a node image of kluster",
		failure.Hint("kluster build node-image makes one; kluster get images lists what there is"))
	errRebuild = failure.New("the image and this command do not fit together",
		failure.Hint("build it again with this kluster: kluster build node-image"))
)

// stoppedError is a node whose journal was asked for: it is kept in memory.
func stoppedError(n provider.Node) error {
	return failure.New(fmt.Sprintf("node %s is %s, and its journal gone", n.Name, n.State),
		failure.Hint("kluster export logs takes what there still is of it"))
}

// timeoutError is a cluster that was not ready in time.
type timeoutError struct{ wait time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("not ready within %v", e.wait) }

// lateSwapError is a node whose swap took too long.
type lateSwapError struct{ after time.Duration }

func (e *lateSwapError) Error() string { return fmt.Sprintf("not done within %v", e.after) }

// lateLifeError is a cluster, or a node of one, that was not what it should be in time.
type lateLifeError struct{ after time.Duration }

func (e *lateLifeError) Error() string { return fmt.Sprintf("not done within %v", e.after) }

// Hint says what to do about it.
func (e *lateLifeError) Hint() string {
	return "kluster get nodes shows what runs, and kluster logs NODE what a node says; a slow machine may need a longer --timeout"
}

// Hint says what to do about it.
func (e *lateSwapError) Hint() string {
	return "a slow machine or slow pods may need a longer --timeout"
}

// Hint says what to do about it.
func (e *timeoutError) Hint() string {
	return "the logs tell what it waited for; a slow machine may need a longer --wait, and --retain keeps the nodes for a look"
}
