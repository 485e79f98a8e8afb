package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/trace"
	"github.com/kluster-project/kluster/internal/trace/nodelog"
	"github.com/kluster-project/kluster/provider"
)

// gatherTime bounds the gathering of what nodes say about themselves.
const gatherTime = 20 * time.Second

// nodeSources are what a node is asked when a traced create has ended.
var nodeSources = []struct {
	what  string
	args  []string
	spans func(node string, data []byte) []trace.Span
}{
	{"boot steps", []string{"sh", "-c", "cat " + nodespec.BootRecord + " 2>/dev/null || true"}, nodelog.BootSteps},
	{"units", nodelog.UnitsCommand, nodelog.Units},
	{"systemd", nodelog.SystemCommand, nodelog.System},
	{"sandboxes", nodelog.SandboxesCommand, nodelog.Sandboxes},
	{"containers", nodelog.ContainersCommand, nodelog.Containers},
	{"journal", nodelog.JournalCommand, nodelog.Journal},
	{"logs of containers", nodelog.ContainerLogsCommand, nodelog.ContainerLogs},
}

// endTrace says that a traced create has ended, and gathers from its nodes what
// they did, as far as it can be had: also after a failure or an interruption.
func (c *creation) endTrace(ctx context.Context) {
	r := trace.FromContext(ctx)
	if r == nil {
		return
	}
	r.Finish()
	c.observer.stop()
	if !c.made {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatherTime)
	defer cancel()
	done := c.m.reporter.Start("gathering the trace", 0)
	err := c.gatherTrace(ctx, r)
	done(nil)
	if err != nil {
		c.m.reporter.Note("the trace is not complete: %v", err)
	}
}

func (c *creation) gatherTrace(ctx context.Context, r *trace.Recorder) error {
	nodes, err := c.m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCreation: c.id})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var errs []error
	var group sync.WaitGroup
	for _, n := range nodes {
		if n.State != provider.StateRunning || n.Labels[nodespec.LabelRole] == string(nodespec.RoleLoadBalancer) {
			continue
		}
		for _, source := range nodeSources {
			group.Go(func() {
				var out bytes.Buffer
				err := c.m.provider.Exec(ctx, n.ID, provider.Command{Args: source.args, Stdout: &out})
				r.Add(source.spans(n.Name, out.Bytes())...)
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("%s of %s: %w", source.what, n.Name, err))
				}
			})
		}
	}
	group.Wait()
	return errors.Join(errs...)
}
