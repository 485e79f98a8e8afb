package boot

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Settle does what can only be done once systemd runs, before the container
// runtime and the kubelet start: on cgroup v2 it makes the kubelet's root
// cgroups with all controllers, on v1 it ends the hiding of the misc
// controller. It may be repeated.
func Settle(m *Machine) error {
	if m.cgroupVersion() == 2 {
		return settleV2(m)
	}
	mounts, err := m.mounts()
	if err != nil {
		return err
	}
	if mounted(mounts, "/proc/cgroups") {
		if err := m.Kernel.Unmount(m.path("/proc/cgroups")); err != nil {
			return err
		}
	}
	dir := cgroupDir + "/systemd/kubelet"
	if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
		return fmt.Errorf("making cgroup %s: %w", dir, err)
	}
	return nil
}

// settleV2 enables every controller in the root and in the kubelet's cgroups.
// It must wait for systemd: a cgroup that holds processes cannot give
// controllers to its children, and the first process starts in the root.
func settleV2(m *Machine) error {
	procs, err := os.ReadFile(m.path(cgroupDir + "/cgroup.procs"))
	if err != nil {
		return fmt.Errorf("reading the root cgroup's processes: %w", err)
	}
	// A 0 is a process of another PID namespace, such as an exec into the node.
	for _, pid := range strings.Fields(string(procs)) {
		if pid != "0" {
			return errors.New("processes are left in the root cgroup: systemd has not moved them")
		}
	}
	for _, group := range append([]string{""}, kubeletCgroups...) {
		if err := m.delegateAll(cgroupDir + "/" + group); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) delegateAll(group string) error {
	if err := os.MkdirAll(m.path(group), 0o755); err != nil {
		return fmt.Errorf("making cgroup %s: %w", group, err)
	}
	have, err := os.ReadFile(m.path(group + "/cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("reading controllers of %s: %w", group, err)
	}
	var enable []string
	for _, controller := range strings.Fields(string(have)) {
		enable = append(enable, "+"+controller)
	}
	err = os.WriteFile(m.path(group+"/cgroup.subtree_control"), []byte(strings.Join(enable, " ")), 0o644)
	if err != nil {
		return fmt.Errorf("enabling controllers of %s: %w", group, err)
	}
	return nil
}
