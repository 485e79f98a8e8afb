package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// kubeletCgroups are the kubelet's root cgroup as its two cgroup drivers
// name it.
var kubeletCgroups = []string{"kubelet", "kubelet.slice"}

// cgroupVersion is 1 or 2.
func (m *Machine) cgroupVersion() int {
	if _, err := os.Stat(m.path(cgroupDir + "/cgroup.controllers")); err == nil {
		return 2
	}
	return 1
}

func (m *Machine) cgroupV1() bool { return m.cgroupVersion() == 1 }

// ownCgroup is this process' cgroup in the cpu controller: "/" in a cgroup
// namespace of our own.
func (m *Machine) ownCgroup() string {
	data, err := os.ReadFile(m.path("/proc/self/cgroup"))
	if err != nil {
		return "/"
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && slices.Contains(strings.Split(fields[1], ","), "cpu") {
			return fields[2]
		}
	}
	return "/"
}

func (m *Machine) sharesCgroupNamespace() bool { return m.cgroupV1() && m.ownCgroup() != "/" }

// controllers are the mount points of cgroup v1 controllers.
func (m *Machine) controllers() ([]mountPoint, error) {
	mounts, err := m.mounts()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(mounts, func(mp mountPoint) bool {
		return mp.FSType != "cgroup" || path.Dir(mp.Target) != cgroupDir
	}), nil
}

// scopeCgroups repairs a node without a cgroup namespace. Controllers that
// show the host's root are taken away. In the others the node's own cgroup
// becomes visible at the path that /proc/PID/cgroup says, as on a machine.
func scopeCgroups(_ context.Context, m *Machine) error {
	m.Log.Warn("the engine gave no cgroup namespace; use cgroup v2, or cgroup v1 with private namespaces")
	controllers, err := m.controllers()
	if err != nil {
		return err
	}
	own := m.ownCgroup()
	var problems []error
	for _, mp := range controllers {
		if !strings.Contains(mp.Root, own) {
			problems = append(problems, m.dropMount(mp.Target))
			continue
		}
		inner := mp.Target + mp.Root
		if err := os.MkdirAll(m.path(inner), 0o755); err != nil {
			problems = append(problems, fmt.Errorf("making cgroup %s: %w", inner, err))
			continue
		}
		problems = append(problems, m.bind(mp.Target, inner, false))
	}
	return errors.Join(problems...)
}

// dropMount unmounts target if it is mounted, and removes its folder.
func (m *Machine) dropMount(target string) error {
	mounts, err := m.mounts()
	if err != nil {
		return err
	}
	if !mounted(mounts, target) {
		return nil
	}
	if err := m.Kernel.Unmount(m.path(target)); err != nil {
		return err
	}
	if err := os.Remove(m.path(target)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("removing mount point %s: %w", target, err)
	}
	return nil
}

func dropUnified(_ context.Context, m *Machine) error { return m.dropMount(cgroupDir + "/unified") }

// fakeCgroups is /proc/cgroups without the misc controller.
const fakeCgroups = "/etc/kluster/proc-cgroups"

// dropMisc takes the misc controller away, and hides it in /proc/cgroups until
// systemd has looked there (see Settle), or systemd would mount it again.
func dropMisc(_ context.Context, m *Machine) error {
	misc := cgroupDir + "/misc"
	if _, err := os.Stat(m.path(misc)); os.IsNotExist(err) {
		return nil
	}
	if err := m.dropMount(misc); err != nil {
		return err
	}
	table, err := os.ReadFile(m.path("/proc/cgroups"))
	if err != nil {
		return fmt.Errorf("reading the table of controllers: %w", err)
	}
	if err := m.write(fakeCgroups, withoutController(string(table), "misc"), 0o644); err != nil {
		return err
	}
	return m.bind(fakeCgroups, "/proc/cgroups", false)
}

func withoutController(table, name string) string {
	var out strings.Builder
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) == 0 || fields[0] != name {
			out.WriteString(line)
		}
	}
	return out.String()
}

// makeKubeletCgroups makes the kubelet's root cgroups in every controller and
// mounts each on itself, so that systemd cannot remove it as empty.
func makeKubeletCgroups(_ context.Context, m *Machine) error {
	if err := m.Kernel.Mount("", m.path(cgroupDir), "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	controllers, err := m.controllers()
	if err != nil {
		return err
	}
	if len(controllers) == 0 {
		return errors.New("no cgroup v1 controller is mounted below " + cgroupDir)
	}
	for _, mp := range controllers {
		for _, name := range kubeletCgroups {
			if err := m.makeCgroup(mp.Target, name); err != nil {
				return err
			}
		}
	}
	// Hosts without systemd have no such hierarchy, but the systemd in the
	// node makes one, for which the kubelet's slice must be there.
	return m.makeCgroup(cgroupDir+"/systemd", "kubelet.slice")
}

func (m *Machine) makeCgroup(controller, name string) error {
	dir := controller + "/" + name
	if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
		return fmt.Errorf("making cgroup %s: %w", dir, err)
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if err := m.copyCgroupFile(controller+"/"+file, dir+"/"+file); err != nil {
			return err
		}
	}
	return m.bind(dir, dir, false)
}

// copyCgroupFile fills a child's cpuset from its parent's: a process cannot be
// put in a cpuset without CPUs ("no space left on device").
func (m *Machine) copyCgroupFile(from, to string) error {
	value, err := os.ReadFile(m.path(from))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", from, err)
	}
	if err := os.WriteFile(m.path(to), value, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", to, err)
	}
	return nil
}
