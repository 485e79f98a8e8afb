package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// Exec runs a command in a container without kluster's help.
func (e *Engine) Exec(ctx context.Context, name string, cmd ...string) (Result, error) {
	began := time.Now()
	r := Result{Args: append([]string{name + ":"}, cmd...), Code: -1}
	made, err := e.API.ContainerExecCreate(ctx, name, container.ExecOptions{Cmd: cmd, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return r, err
	}
	conn, err := e.API.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return r, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, conn.Close)()
	var stdout, stderr bytes.Buffer
	if _, err := stdcopy.StdCopy(&stdout, &stderr, conn.Reader); err != nil && ctx.Err() == nil {
		return r, err
	}
	r.Stdout, r.Stderr, r.Took = stdout.String(), stderr.String(), time.Since(began)
	ended, err := e.API.ContainerExecInspect(ctx, made.ID)
	if err != nil {
		return r, err
	}
	r.Code = ended.ExitCode
	return r, nil
}

// CopyFrom gives a tar stream of a path in a container; the caller closes it.
func (e *Engine) CopyFrom(ctx context.Context, name, path string) (io.ReadCloser, error) {
	rc, _, err := e.API.CopyFromContainer(ctx, name, path)
	return rc, err
}

// Crash kills a container's first process as a crash would: the engine is not
// asked to, so the container's restart policy counts, as it does not after
// Kill. It needs a container that sees the host's processes.
func (e *Engine) Crash(ctx context.Context, name string) (err error) {
	victim, err := e.API.ContainerInspect(ctx, name)
	if err != nil {
		return err
	}
	killer, err := e.API.ContainerCreate(ctx, &container.Config{
		Image: victim.Config.Image, Entrypoint: []string{"sh", "-c", fmt.Sprintf("kill -KILL %d", victim.State.Pid)},
	}, &container.HostConfig{PidMode: "host", NetworkMode: "none", SecurityOpt: []string{"apparmor=unconfined"}}, nil, nil, Name("killer"))
	if err != nil {
		return err
	}
	defer func() {
		remove := e.API.ContainerRemove(context.WithoutCancel(ctx), killer.ID, container.RemoveOptions{Force: true})
		err = errors.Join(err, remove)
	}()
	ended, failed := e.API.ContainerWait(ctx, killer.ID, container.WaitConditionNextExit)
	if err := e.API.ContainerStart(ctx, killer.ID, container.StartOptions{}); err != nil {
		return err
	}
	select {
	case r := <-ended:
		if r.StatusCode != 0 {
			return fmt.Errorf("killing process %d of %s: exit code %d", victim.State.Pid, name, r.StatusCode)
		}
		return nil
	case err := <-failed:
		return err
	}
}
