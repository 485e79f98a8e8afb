package docker

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/kluster-project/kluster/provider"
)

// StartNode implements provider.Provider.
func (p *Provider) StartNode(ctx context.Context, id string) error {
	if err := p.setPolicy(ctx, id, policyUp); err != nil {
		return fmt.Errorf("starting node %q: %w", id, err)
	}
	if err := p.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return fmt.Errorf("starting node %q: %w", id, explain(err))
	}
	return nil
}

// StopNode implements provider.Provider. The engine counts grace in seconds, so
// it is rounded up.
func (p *Provider) StopNode(ctx context.Context, id string, grace time.Duration) error {
	seconds := max(0, int(math.Ceil(grace.Seconds())))
	if err := p.api.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds}); err != nil {
		return fmt.Errorf("stopping node %q: %w", id, explain(err))
	}
	if err := p.keepDown(ctx, id); err != nil {
		return fmt.Errorf("stopping node %q: %w", id, err)
	}
	return nil
}

// KillNode implements provider.Provider.
func (p *Provider) KillNode(ctx context.Context, id, signal string) error {
	if err := p.api.ContainerKill(ctx, id, signal); err != nil {
		return fmt.Errorf("sending %s to node %q: %w", signal, id, p.explainState(ctx, id, err))
	}
	return nil
}

// Logs implements provider.Provider.
func (p *Provider) Logs(ctx context.Context, id string, opt provider.LogOptions, w io.Writer) error {
	c, err := p.api.ContainerInspect(ctx, id)
	if err != nil {
		return fmt.Errorf("reading the log of node %q: %w", id, explain(err))
	}
	stream, err := p.api.ContainerLogs(ctx, id, logsOptions(opt))
	if err != nil {
		return fmt.Errorf("reading the log of node %q: %w", id, explain(err))
	}
	defer stream.Close()
	if c.Config != nil && c.Config.Tty {
		_, err = io.Copy(w, stream)
	} else {
		_, err = stdcopy.StdCopy(w, w, stream)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("reading the log of node %q: %w", id, err)
	}
	return nil
}

func logsOptions(opt provider.LogOptions) container.LogsOptions {
	o := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: opt.Follow}
	if !opt.Since.IsZero() {
		o.Since = fmt.Sprintf("%d.%09d", opt.Since.Unix(), opt.Since.Nanosecond())
	}
	return o
}
