package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/fault"
)

// guardProcess is a guard that was started.
type guardProcess struct {
	answers io.ReadCloser
	// dismiss tells it to undo what it has done, and to end.
	dismiss func()
}

// GuardArgs are the arguments of kluster that make it the guard of a fault: Manager.Guard
// with its standard input, and answers on file descriptor GuardAnswers. The cluster's name
// comes after them, for whoever looks at processes.
var GuardArgs = []string{"fault", "guard"}

// GuardAnswers is not standard output: a write to that kills a process if nobody
// reads any more.
const GuardAnswers = 3

// startGuardProcess starts kluster again in a session of its own, which no signal of
// this terminal reaches, and which has nothing of it open.
func (m *Manager) startGuardProcess(order []byte) (guardProcess, error) {
	if m.program == "" {
		return guardProcess{}, failure.New("a fault of this kind needs the kluster command, to undo it if this process should end; it was not found",
			failure.Exit(failure.CodeHost), failure.Hint("install kluster on the PATH"))
	}
	var guarded fault.Active
	if err := json.Unmarshal(order, &guarded); err != nil {
		return guardProcess{}, fmt.Errorf("decoding the fault: %w", err)
	}
	answers, theirs, err := os.Pipe()
	if err != nil {
		return guardProcess{}, fmt.Errorf("starting the guard of the fault: %w", err)
	}
	defer theirs.Close()
	// Not with a context: it outlives this process.
	cmd := exec.Command(m.program, append(slices.Clone(GuardArgs), guarded.Cluster)...) //nolint:noctx // see above
	cmd.Stdin = bytes.NewReader(order)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		answers.Close()
		return guardProcess{}, fmt.Errorf("starting the guard of the fault: %w", err)
	}
	// Should this process live longer, it must take the guard's end note of.
	go func() { _ = cmd.Wait() }()
	return guardProcess{answers: answers, dismiss: func() { _ = cmd.Process.Signal(syscall.SIGTERM) }}, nil
}
