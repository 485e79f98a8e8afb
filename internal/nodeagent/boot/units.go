package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kluster-project/kluster/internal/cri"
)

const (
	unitDir  = "/usr/lib/systemd/system/"
	wantsDir = "/etc/systemd/system/multi-user.target.wants/"
)

// needRuntime are kluster's units that start after the container runtime, and how
// much they need it: a node without one has not booted.
var needRuntime = map[string]string{"kubelet.service": "Wants", "kluster-booted.service": "Requires"}

// enableUnits makes systemd start a runtime's units, none of another runtime, and
// what needs one after them.
func (m *Machine) enableUnits(runtime cri.Runtime) error {
	for _, name := range cri.Names() {
		other, err := cri.Get(name)
		if err != nil {
			return err
		}
		for _, unit := range other.Units {
			if err := os.Remove(m.path(wantsDir + unit)); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("disabling %s: %w", unit, err)
			}
		}
	}
	if err := os.MkdirAll(m.path(wantsDir), 0o755); err != nil {
		return fmt.Errorf("making the folder of enabled units: %w", err)
	}
	for i, unit := range runtime.Units {
		if err := os.Symlink(unitDir+unit, m.path(wantsDir+unit)); err != nil {
			return fmt.Errorf("enabling %s: %w", unit, err)
		}
		if err := m.orderUnit(unit, "Wants", runtime.Units[:i]); err != nil {
			return err
		}
	}
	for unit, need := range needRuntime {
		if err := m.orderUnit(unit, need, runtime.Units); err != nil {
			return err
		}
	}
	return nil
}

// orderUnit makes a unit start after others, which are started with it.
func (m *Machine) orderUnit(unit, need string, after []string) error {
	text := ""
	if len(after) > 0 {
		all := strings.Join(after, " ")
		text = fmt.Sprintf("[Unit]\n%s=%s\nAfter=%s\n", need, all, all)
	}
	return m.write(filepath.Join("/etc/systemd/system", unit+".d", "10-kluster-runtime.conf"), text, 0o644)
}
