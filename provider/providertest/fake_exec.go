package providertest

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/kluster-project/kluster/provider"
)

// Exec implements provider.Provider: it leaves the command to Handle, which is
// told through its context when the node stops.
func (p *Provider) Exec(ctx context.Context, id string, cmd provider.Command) error {
	if err := p.begin(ctx, "Exec", p.name(id)); err != nil {
		return err
	}
	node, stopped, err := p.runningNode(id)
	if err != nil {
		return err
	}
	if p.Handle == nil {
		return nil
	}
	var stdout, stderr bytes.Buffer
	given := cmd.Stderr
	cmd.Stdout, cmd.Stderr = teeTo(&stdout, cmd.Stdout), teeTo(&stderr, cmd.Stderr)
	if cmd.Stdin == nil {
		cmd.Stdin = bytes.NewReader(nil)
	}
	code := p.handle(ctx, stopped, node, cmd)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("running %q in node %q: %w", cmd.Args, node.Name, context.Cause(ctx))
	case code == 0:
		return nil
	}
	failed := &provider.ExecError{Node: node.Name, Args: cmd.Args, Code: code}
	if given == nil {
		failed.Output = lastBytes(stderr.Bytes(), stdout.Bytes())
	}
	return failed
}

// runningNode gives a node, and what is closed when it stops.
func (p *Provider) runningNode(id string) (provider.Node, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return provider.Node{}, nil, err
	}
	if node.State != provider.StateRunning {
		return provider.Node{}, nil, fmt.Errorf("node %q is not running", node.Name)
	}
	return node.Node, node.running, nil
}

// handle runs Handle with a context that also ends when the node stops.
func (p *Provider) handle(ctx context.Context, stopped <-chan struct{}, node provider.Node, cmd provider.Command) int {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(); <-done }()
	return p.Handle(ctx, node, cmd)
}

func teeTo(buf *bytes.Buffer, w io.Writer) io.Writer {
	if w == nil {
		return buf
	}
	return io.MultiWriter(buf, w)
}

// lastBytes is the end of the first output that is not empty.
func lastBytes(outputs ...[]byte) string {
	for _, out := range outputs {
		if len(out) > 0 {
			return string(out[max(0, len(out)-4096):])
		}
	}
	return ""
}
