package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodeagent/etcddisk"
	"github.com/kluster-project/kluster/internal/wait"
)

// A full disk under etcd is a file system of its own (package etcddisk), into which the
// data is moved while etcd and the kubelet are stopped. Then etcd runs on it, and the
// space ends under it while it does.

const (
	kubelet = "kubelet.service"
	// etcdHealth is where etcd says on its own node that it serves.
	etcdHealth = "http://127.0.0.1:2381/health"

	etcdPoll   = 50 * time.Millisecond
	etcdGrace  = 8 * time.Second
	etcdServes = 40 * time.Second
)

// etcd is the process, as kill-process knows it.
func etcd() fault.Process {
	p, _ := fault.GetProcess("etcd")
	return p
}

func (m *Machine) disk() etcddisk.Disk { return etcddisk.Disk{Root: m.Root, Output: m.Output} }

func checkDisk(ctx context.Context, m *Machine, _ fault.Order) error {
	if _, err := m.Output(ctx, "", "mke2fs", "-V"); err != nil {
		return refuse("its image has no mke2fs: %v", err)
	}
	if err := m.disk().Check(); err != nil {
		return refuse("%v", err)
	}
	pids, err := m.programs(etcd())
	if err == nil && len(pids) == 0 {
		return refuse("no etcd runs in it")
	}
	return err
}

func fillDisk(ctx context.Context, m *Machine, _ fault.Order) error {
	if err := m.withoutEtcd(ctx, func() error { return m.disk().Give(ctx, m.noEtcd) }); err != nil {
		return err
	}
	if err := m.awaitEtcd(ctx); err != nil {
		return err
	}
	return m.frozen(ctx, m.disk().Fill)
}

// emptyDisk takes the data back. The kubelet is not started, and so no etcd, before that
// has succeeded. A kubelet that starts forgets that it was to wait before it starts etcd.
func emptyDisk(ctx context.Context, m *Machine, _ fault.Order) error {
	return m.withoutEtcd(ctx, func() error { return m.disk().TakeBack(ctx) })
}

// withoutEtcd does something while neither the kubelet nor etcd runs.
func (m *Machine) withoutEtcd(ctx context.Context, do func() error) error {
	if _, err := m.Output(ctx, "", "systemctl", "stop", kubelet); err != nil {
		return err
	}
	if err := m.endAPIServer(); err != nil {
		return err
	}
	if err := m.stopEtcd(ctx); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	_, err := m.Output(ctx, "", "systemctl", "start", kubelet)
	return err
}

// endAPIServer kills the API server of the node, which is of no use without its etcd. etcd
// would wait for its connections; and a kubelet that starts asks it for its node, and
// starts nothing, etcd neither, while it is not refused.
func (m *Machine) endAPIServer() error {
	p, _ := fault.GetProcess("apiserver")
	pids, err := m.programs(p)
	for _, pid := range pids {
		if err := m.Kill(pid); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("ending the API server: %w", err)
		}
	}
	return err
}

func (m *Machine) noEtcd() error {
	pids, err := m.programs(etcd())
	if err == nil && len(pids) > 0 {
		err = errors.New("etcd runs although it was stopped")
	}
	return err
}

// stopEtcd asks etcd to end, so that it hands its leadership over, and then makes it.
func (m *Machine) stopEtcd(ctx context.Context) error {
	kill := time.Now().Add(etcdGrace)
	for asked := false; ; asked = true {
		pids, err := m.programs(etcd())
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			switch {
			case !asked:
				err = m.signal(ctx, "TERM", pid)
			case time.Now().After(kill):
				err = m.Kill(pid)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) && m.noEtcd() != nil {
				return fmt.Errorf("stopping etcd: %w", err)
			}
		}
		if !wait.For(ctx, etcdPoll) {
			return fmt.Errorf("waiting for the end of etcd: %w", context.Cause(ctx))
		}
	}
}

func (m *Machine) signal(ctx context.Context, signal string, pid int) error {
	_, err := m.Output(ctx, "", "kill", "-s", signal, strconv.Itoa(pid))
	return err
}

// awaitEtcd waits until etcd serves again.
func (m *Machine) awaitEtcd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, etcdServes)
	defer cancel()
	for {
		_, err := m.Output(ctx, "", "curl", "--silent", "--show-error", "--fail", "--max-time", "2", etcdHealth)
		if err == nil {
			return nil
		}
		if !wait.For(ctx, etcdPoll) {
			return fmt.Errorf("etcd does not serve %v after it was started on a disk of its own: %w", etcdServes, err)
		}
	}
}

// frozen does something while no thread of etcd runs.
func (m *Machine) frozen(ctx context.Context, do func() error) error {
	pids, err := m.programs(etcd())
	if err != nil {
		return err
	}
	defer func() {
		for _, pid := range pids {
			_ = m.signal(context.WithoutCancel(ctx), "CONT", pid)
		}
	}()
	for _, pid := range pids {
		if err := m.signal(ctx, "STOP", pid); err != nil {
			return err
		}
		for !m.stopped(pid) {
			if !wait.For(ctx, etcdPoll/10) {
				return context.Cause(ctx)
			}
		}
	}
	return do()
}

// stopped says whether all threads of a process are stopped: a write that has begun ends
// before its thread stops.
func (m *Machine) stopped(pid int) bool {
	tasks := m.path(fmt.Sprintf("/proc/%d/task", pid))
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return true // it has ended
	}
	for _, e := range entries {
		text, err := os.ReadFile(tasks + "/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// PID (NAME) STATE ...; the name may hold anything.
		line := string(text)
		if _, after, ok := strings.Cut(line[strings.LastIndexByte(line, ')')+1:], " "); !ok || after == "" || after[0] != 'T' {
			return false
		}
	}
	return true
}
