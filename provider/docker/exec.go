package docker

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// detachKeys are keys nobody types. The engine's own, ctrl-p ctrl-q, would make
// a shell in a node swallow ctrl-p.
const detachKeys = "ctrl-^,ctrl-_,ctrl-^,ctrl-@"

// Exec implements provider.Provider. When ctx ends the command is killed with
// all of its process group. Where cmd.Stdin blocks, the goroutine that reads it
// ends with its next read.
func (p *Provider) Exec(ctx context.Context, id string, cmd provider.Command) error {
	made, err := p.api.ContainerExecCreate(ctx, id, execOptions(cmd))
	if err != nil {
		return fmt.Errorf("running %q in node %q: %w", cmd.Args, id, explain(err))
	}
	out := newOutputs(cmd)
	code, err := p.runExec(ctx, made.ID, cmd, out)
	if ctx.Err() != nil {
		p.killExec(ctx, made.ID)
		return fmt.Errorf("running %q in node %q: %w", cmd.Args, id, context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("running %q in node %q: %w", cmd.Args, id, explain(err))
	}
	if code != 0 {
		return &provider.ExecError{Node: p.nodeName(ctx, id), Args: cmd.Args, Code: code, Output: out.tail(cmd)}
	}
	return nil
}

func execOptions(cmd provider.Command) container.ExecOptions {
	return container.ExecOptions{
		Cmd: cmd.Args, Env: cmd.Env, WorkingDir: cmd.Dir,
		AttachStdin: cmd.Stdin != nil, AttachStdout: true, AttachStderr: true,
		Tty: cmd.TTY, ConsoleSize: consoleSize(cmd), DetachKeys: detachKeys,
	}
}

// consoleSize is rows and columns, nil if there is no terminal or no size.
func consoleSize(cmd provider.Command) *[2]uint {
	if !cmd.TTY || cmd.Cols == 0 || cmd.Rows == 0 {
		return nil
	}
	return &[2]uint{cmd.Rows, cmd.Cols}
}

// runExec starts an exec, carries its streams, and gives its exit code.
func (p *Provider) runExec(ctx context.Context, execID string, cmd provider.Command, out *outputs) (int, error) {
	conn, err := p.api.ContainerExecAttach(ctx, execID, container.ExecAttachOptions{Tty: cmd.TTY, ConsoleSize: consoleSize(cmd)})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	// Closing the connection is what ends the reads below.
	stop := context.AfterFunc(ctx, conn.Close)
	defer stop()

	if cmd.Stdin != nil {
		pipe := p.pipeOf(ctx, execID, cmd)
		defer pipe.Close() // ends a write to a command that reads no more
		go sendStdin(conn, pipe, cmd.Stdin)
	}
	if cmd.TTY {
		resizing, endResizing := context.WithCancel(ctx)
		resized := make(chan struct{})
		go func() {
			defer close(resized)
			p.resize(resizing, execID, cmd)
		}()
		defer func() { endResizing(); <-resized }()
	}
	if err := out.receive(conn.Reader, cmd.TTY); err != nil {
		return 0, fmt.Errorf("reading its output: %w", err)
	}
	return p.exitCode(ctx, execID)
}

// sendStdin copies stdin into the command's pipe, or without one into the
// connection, and then closes only that half of it.
func sendStdin(conn types.HijackedResponse, pipe *os.File, stdin io.Reader) {
	// A command that does not read its input to the end is no error.
	if pipe != nil {
		// The command has its end of input when the engine has closed its own end, too.
		if files, ok := stdin.(io.WriterTo); ok {
			_, _ = files.WriteTo(pipe) // it may know better ways into a pipe
		} else {
			_, _ = io.CopyBuffer(struct{ io.Writer }{pipe}, stdin, make([]byte, pipeSize))
		}
		_ = pipe.Close()
	} else {
		_, _ = io.Copy(conn.Conn, stdin)
	}
	_ = conn.CloseWrite()
}

// receive takes the output to its end.
func (o *outputs) receive(r io.Reader, tty bool) error {
	if tty {
		_, err := io.Copy(o.stdout, r)
		return err
	}
	_, err := stdcopy.StdCopy(o.stdout, o.stderr, r)
	return err
}

// exitCode waits until the engine has noticed the end, which may be a moment
// after the streams have ended.
func (p *Provider) exitCode(ctx context.Context, execID string) (int, error) {
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		state, err := p.api.ContainerExecInspect(ctx, execID)
		if err != nil {
			return 0, err
		}
		if !state.Running {
			return state.ExitCode, nil
		}
		if !wait.For(ctx, pause) {
			return 0, ctx.Err()
		}
	}
}

// resize sets the terminal's size at first and whenever it changes.
func (p *Provider) resize(ctx context.Context, execID string, cmd provider.Command) {
	if cmd.Cols > 0 && cmd.Rows > 0 && p.apiBefore("1.42") {
		p.resizeOnce(ctx, execID, cmd.Cols, cmd.Rows)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-cmd.Resize:
			if !ok {
				return
			}
			p.resizeOnce(ctx, execID, size[0], size[1])
		}
	}
}

// resizeOnce tries a few times, for the command may not have started yet. A
// terminal of the wrong size is no reason to end the command.
func (p *Provider) resizeOnce(ctx context.Context, execID string, cols, rows uint) {
	for try := range 10 {
		err := p.api.ContainerExecResize(ctx, execID, container.ResizeOptions{Width: cols, Height: rows})
		if err == nil || !wait.For(ctx, time.Duration(try+1)*10*time.Millisecond) {
			return
		}
	}
}

// nodeName gives the name of a node for messages.
func (p *Provider) nodeName(ctx context.Context, id string) string {
	if node, err := p.node(ctx, id); err == nil {
		return node.Name
	}
	return id
}
