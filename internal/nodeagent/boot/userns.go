package boot

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// enoughFiles is how many open files a node with its pods may want.
const enoughFiles = 64000

// inUserNamespace says whether root here is not root of the host. When it
// cannot be told, it is taken for the host's.
func (m *Machine) inUserNamespace() bool {
	data, err := os.ReadFile(m.path("/proc/self/uid_map"))
	if err != nil {
		return false
	}
	return !slices.Equal(strings.Fields(string(data)), []string{"0", "0", "4294967295"})
}

// checkUserNamespace warns of a low limit of open files and fails when a
// controller that Kubernetes needs was not delegated.
func checkUserNamespace(_ context.Context, m *Machine) error {
	m.Log.Info("running in a user namespace")
	if n, err := m.Kernel.MaxOpenFiles(); err == nil && n < enoughFiles {
		m.Log.Warn("the limit of open files is low", "limit", n, "wanted", enoughFiles)
	}
	data, err := os.ReadFile(m.path("/sys/fs/cgroup/cgroup.controllers"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the delegated cgroup controllers: %w", err)
	}
	have := strings.Fields(string(data))
	for _, controller := range []string{"cpu", "memory", "pids"} {
		if !slices.Contains(have, controller) {
			return fmt.Errorf("cgroup controller %s is not delegated to the engine's user (have: %s)", controller, strings.Join(have, " "))
		}
	}
	return nil
}

// capSysResource is CAP_SYS_RESOURCE's bit in the masks of /proc/self/status.
const capSysResource = 24

// restricted says whether processes here may not lower oom_score_adj or raise
// limits: the kernel wants CAP_SYS_RESOURCE of the host's own user namespace.
func (m *Machine) restricted() bool {
	if m.inUserNamespace() || slices.Contains(m.Node.MissingCaps, "CAP_SYS_RESOURCE") {
		return true
	}
	data, err := os.ReadFile(m.path("/proc/self/status"))
	return err == nil && !hasCapability(string(data), capSysResource)
}

// lacksCapabilities says whether a capability of the kernel's is not to be had here.
func (m *Machine) lacksCapabilities() bool {
	status, err := os.ReadFile(m.path("/proc/self/status"))
	if err != nil {
		return false
	}
	text, err := os.ReadFile(m.path("/proc/sys/kernel/cap_last_cap"))
	if err != nil {
		return false
	}
	last, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 6)
	if err != nil {
		return false
	}
	for bit := range uint(last) + 1 {
		if !hasCapability(string(status), bit) {
			return true
		}
	}
	return false
}

// hasCapability looks up a bit in the bounding set of a process' status.
func hasCapability(status string, bit uint) bool {
	for line := range strings.Lines(status) {
		if mask, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			var bits uint64
			_, err := fmt.Sscanf(strings.TrimSpace(mask), "%x", &bits)
			return err == nil && bits&(1<<bit) != 0
		}
	}
	return false
}
