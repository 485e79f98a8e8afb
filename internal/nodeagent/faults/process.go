package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodeagent/boot"
	"github.com/kluster-project/kluster/internal/wait"
)

// killPause is how often a process that is kept from running is looked for.
const killPause = 200 * time.Millisecond

// staticPod is in the cgroup of a static pod's container: the kubelet makes up its
// UID, without hyphens, while the API's pods have hyphens or underscores in theirs.
var staticPod = regexp.MustCompile(`pod[0-9a-f]{32}\b`)

func checkKill(ctx context.Context, m *Machine, o fault.Order) error {
	pids, err := m.victims(ctx, o)
	if err == nil && len(pids) == 0 {
		return refuse("no %s runs in it", o.Params[fault.ParamProcess])
	}
	return err
}

func killOnce(ctx context.Context, m *Machine, o fault.Order) error {
	pids, err := m.victims(ctx, o)
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		if err := m.Kill(pid); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("killing process %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// killAgain kills whatever comes back.
func killAgain(ctx context.Context, m *Machine, o fault.Order) error {
	m.Ready()
	for wait.For(ctx, killPause) {
		if err := killOnce(ctx, m, o); err != nil && ctx.Err() == nil {
			m.Log.Warn("a process was not killed", "error", err)
		}
	}
	return nil
}

// restart has what was killed again and again started at once: systemd gives up on
// some units, and the kubelet waits up to five minutes, which it forgets at its start.
func restart(ctx context.Context, m *Machine, o fault.Order) error {
	p, _ := fault.GetProcess(o.Params[fault.ParamProcess])
	units, err := m.unitsOf(p)
	if err != nil {
		return err
	}
	if p.Pod != "" {
		_, err := m.Output(ctx, "", "systemctl", "restart", "--no-block", "kubelet.service")
		return err
	}
	for _, unit := range units {
		if _, err := m.Output(ctx, "", "systemctl", "reset-failed", unit); err != nil {
			return err
		}
		if _, err := m.Output(ctx, "", "systemctl", "start", "--no-block", unit); err != nil {
			return err
		}
	}
	return nil
}

// unitsOf are the units whose main process it is.
func (m *Machine) unitsOf(p fault.Process) ([]string, error) {
	switch {
	case p.Unit != "":
		return []string{p.Unit}, nil
	case !p.Runtime:
		return nil, nil
	}
	node, err := boot.ReadNode(m.Root)
	if err != nil {
		return nil, err
	}
	runtime, err := cri.Get(node.Runtime)
	return runtime.Units, err
}

// victims are the processes to kill. A node has a PID namespace of its own, so that
// those of no other are among them.
func (m *Machine) victims(ctx context.Context, o fault.Order) ([]int, error) {
	p, ok := fault.GetProcess(o.Params[fault.ParamProcess])
	if !ok {
		return nil, refuse("this node does not know the process %q", o.Params[fault.ParamProcess])
	}
	if p.Program != "" {
		return m.programs(p)
	}
	units, err := m.unitsOf(p)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, unit := range units {
		text, err := m.Output(ctx, "", "systemctl", "show", "--property=MainPID", "--value", unit)
		if err != nil {
			return nil, err
		}
		if pid, err := strconv.Atoi(trimmed(text)); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// programs finds processes by the name of their program, as the kernel keeps it; those
// of a static pod only there.
func (m *Machine) programs(p fault.Process) ([]int, error) {
	entries, err := os.ReadDir(m.path("/proc"))
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", p.Name, err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == 1 {
			continue
		}
		// A process may end while it is looked at.
		comm, err := os.ReadFile(m.path("/proc/" + e.Name() + "/comm"))
		if err != nil || trimmed(string(comm)) != p.Program[:min(len(p.Program), commLength)] {
			continue
		}
		groups, err := os.ReadFile(m.path("/proc/" + e.Name() + "/cgroup"))
		if err == nil && (p.Pod == "" || staticPod.Match(groups)) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// commLength is how much of a program's name the kernel keeps.
const commLength = 15
