package boot

import (
	"fmt"
	"os"
	"path/filepath"
)

// HideProductIn puts the node's product files over those in a container whose
// root file system is at root and whose /sys is already mounted. Each container
// gets a copy: thousands of mounts of one file slow its host down.
func HideProductIn(m *Machine, root string) error {
	for target, source := range ProductFiles {
		inside := filepath.Join(root, target)
		if !m.exists(inside) {
			continue
		}
		text, err := os.ReadFile(m.path(source))
		if err != nil {
			return fmt.Errorf("reading the node's %s: %w", source, err)
		}
		copied := filepath.Join(root, filepath.Base(source))
		if err := m.write(copied, string(text), 0o444); err != nil {
			return err
		}
		if err := m.bind(copied, m.resolve(inside), true); err != nil {
			return err
		}
	}
	return nil
}
