package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/trace"
	"github.com/kluster-project/kluster/provider"
)

// bootPoll is how often a node is looked at for the file it makes when it has
// booted. Nothing waits for that but the news of a node that fails, and a look
// costs the engine some 40 ms of CPU: it starts a process.
const bootPoll = 500 * time.Millisecond

// waitBooted returns when systemd and the runtime of a node are up.
func (m *Manager) waitBooted(ctx context.Context, n provider.Node) error {
	defer trace.Start(ctx, trace.Act, n.Name, "wait until it has booted").End()
	err := wait.PollUntilContextCancel(ctx, bootPoll, false, func(ctx context.Context) (bool, error) {
		r, err := m.provider.CopyFrom(ctx, n.ID, nodespec.BootedFile)
		if err == nil {
			return true, r.Close()
		}
		if !errors.Is(err, provider.ErrNotFound) {
			return false, err
		}
		return false, m.stillRuns(ctx, n)
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("booting %s: %w", n.Name, err)
	}
	return nil
}

// stillRuns fails when a node's first process has ended, or the node has gone.
func (m *Manager) stillRuns(ctx context.Context, n provider.Node) error {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCreation: n.Labels[nodespec.LabelCreation]})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(nodes, func(now provider.Node) bool { return now.ID == n.ID })
	if i < 0 {
		return errors.New("it was removed")
	}
	if now := nodes[i]; now.State != provider.StateRunning {
		return fmt.Errorf("its first process ended (the node is %s, exit code %d)", now.State, now.ExitCode)
	}
	return nil
}
