package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodeagent/mirrors"
)

// TellMirrors tells the node's container runtime of the mirrors that the node was told
// of. It takes effect at the next pull.
func TellMirrors(m *Machine) error {
	runtime, err := cri.Get(m.Node.Runtime)
	if err != nil {
		return err
	}
	return m.tellMirrors(runtime)
}

func (m *Machine) tellMirrors(runtime cri.Runtime) error {
	if runtime.Mirrors.Files == nil {
		return nil // its proxy reads them itself
	}
	list, err := mirrors.Read(m.Root)
	if err != nil {
		return err
	}
	files, err := runtime.Mirrors.Files(list)
	if err != nil {
		return fmt.Errorf("telling %s of mirrors: %w", runtime.Name, err)
	}
	var written []string
	for _, f := range files {
		if err := m.write(f.Path, string(f.Data), os.FileMode(f.Mode)); err != nil {
			return err
		}
		written = append(written, m.path(f.Path))
	}
	return m.forgetMirrors(runtime.Mirrors.Glob, written)
}

// forgetMirrors removes what kluster once wrote of other mirrors.
func (m *Machine) forgetMirrors(glob string, written []string) error {
	if glob == "" {
		return nil
	}
	found, err := filepath.Glob(m.path(glob))
	if err != nil {
		return fmt.Errorf("looking for former mirrors: %w", err)
	}
	for _, file := range found {
		if slices.Contains(written, file) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("looking at a former mirror: %w", err)
		}
		if !strings.HasPrefix(string(text), cri.Mark) {
			continue
		}
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("removing a former mirror: %w", err)
		}
	}
	return nil
}
