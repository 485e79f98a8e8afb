package cri

import (
	"fmt"
	"slices"
)

// KubeletUnit is the systemd unit of a node's kubelet.
const KubeletUnit = "kubelet.service"

// All are the runtimes, the default first.
func All() []Runtime { return slices.Clone(table) }

// LogUnits are the systemd units whose journals tell what nodes with these runtimes
// did: the kubelet's, and those of the runtimes, each once.
func LogUnits(runtimes ...Runtime) []string {
	units := []string{KubeletUnit}
	for _, r := range runtimes {
		for _, unit := range r.LogUnits {
			if !slices.Contains(units, unit) {
				units = append(units, unit)
			}
		}
	}
	return units
}

// ConfigPaths are the files that configure the runtime in a node.
func (r Runtime) ConfigPaths() ([]string, error) {
	files, err := r.Configure(Settings{})
	if err != nil {
		return nil, fmt.Errorf("listing the configuration of %s: %w", r.Name, err)
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	return paths, nil
}
