package docker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/kluster-project/kluster/internal/wait"
)

// cleanupTime bounds what is done after an interrupt.
const cleanupTime = 5 * time.Second

// killExec kills a command that nobody waits for any more, as the engine does
// not when its client goes. It does its best: where the engine's processes are
// not to be seen (a virtual machine), the command only loses its streams.
func (p *Provider) killExec(ctx context.Context, execID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	state, err := p.startedExec(ctx, execID)
	if err != nil || !state.Running {
		return
	}
	pid, err := innerPID(state.Pid, state.ContainerID)
	if err != nil {
		return
	}
	// runc makes every exec the leader of its own session and process group.
	kill := []string{"sh", "-c", fmt.Sprintf("kill -s KILL -- -%d || kill -s KILL %d", pid, pid)}
	made, err := p.api.ContainerExecCreate(ctx, state.ContainerID, container.ExecOptions{Cmd: kill})
	if err != nil {
		return
	}
	if err := p.api.ContainerExecStart(ctx, made.ID, container.ExecStartOptions{Detach: true}); err != nil {
		return
	}
	_, _ = p.exitCode(ctx, execID)
}

// startedExec waits until an exec has a process or has ended.
func (p *Provider) startedExec(ctx context.Context, execID string) (container.ExecInspect, error) {
	for {
		state, err := p.api.ContainerExecInspect(ctx, execID)
		if err != nil || state.Pid != 0 || !state.Running {
			return state, err
		}
		if !wait.For(ctx, 20*time.Millisecond) {
			return state, ctx.Err()
		}
	}
}

// innerPID is the ID that a process has inside its container. It is an error if
// the process is not one of that container: then the engine counts processes of
// another machine, and the number means something else here.
func innerPID(pid int, containerID string) (int, error) {
	dir := filepath.Join(procDir, strconv.Itoa(pid))
	groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return 0, err
	}
	if containerID == "" || !strings.Contains(string(groups), containerID) {
		return 0, fmt.Errorf("process %d is not of container %s", pid, containerID)
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return 0, err
	}
	return parseInnerPID(status)
}

// parseInnerPID reads the innermost ID in a process's status file.
func parseInnerPID(status []byte) (int, error) {
	text, _ := statusField(status, "NSpid")
	ids := strings.Fields(text)
	if len(ids) < 2 {
		return 0, fmt.Errorf("process is in no process namespace of its own: NSpid %q", text)
	}
	return strconv.Atoi(ids[len(ids)-1])
}
