// Package cri is the table of container runtimes a node can run: for each, as
// data, where it listens, which units it is made of, how it is configured and
// which commands reach it. Nothing outside asks which runtime it has.
package cri

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Default is the runtime of a cluster that asks for none.
const Default = "containerd"

// Cgroup drivers, as the kubelet names them.
const (
	DriverCgroupfs = "cgroupfs"
	DriverSystemd  = "systemd"
)

// Runtime is one row of the table.
type Runtime struct {
	// Name is what users and node.json call it.
	Name string
	// Socket is the CRI endpoint as a URL ("unix:///run/...").
	Socket string
	// Units are its systemd units in the order they start; LogUnits are the
	// ones whose journal tells what went wrong.
	Units, LogUnits []string
	// Cgroup is the unit's cgroup path, the kubelet's --runtime-cgroups.
	Cgroup string
	// Drivers are the cgroup drivers by cgroup version (1 or 2).
	Drivers map[int]string
	// ConfigPath is where the text that Render makes belongs.
	ConfigPath string
	Render     func(Settings) ([]byte, error)
	// Import is the command that reads an image archive from its stdin, and
	// Debug the one that speaks CRI to it.
	Import, Debug []string
	// Mirror gives the file that makes it pull from another registry. It takes
	// effect at the next pull.
	Mirror func(Mirror) nodespec.File
	// StateDir is the folder that holds images and containers; it is a volume.
	StateDir string
}

// CgroupDriver is the driver that runtime and kubelet both must use on cgroup
// version 1 or 2.
func (r Runtime) CgroupDriver(version int) string { return r.Drivers[version] }

// SocketPath is Socket as a path.
func (r Runtime) SocketPath() string { return strings.TrimPrefix(r.Socket, "unix://") }

var table = []Runtime{containerd}

// Get finds a runtime by name; "" is Default.
func Get(name string) (Runtime, error) {
	if name == "" {
		name = Default
	}
	i := slices.IndexFunc(table, func(r Runtime) bool { return r.Name == name })
	if i < 0 {
		return Runtime{}, fmt.Errorf("unknown container runtime %q (known: %s)", name, strings.Join(Names(), ", "))
	}
	return table[i], nil
}

// Names lists the runtimes, the default first.
func Names() []string {
	names := make([]string, len(table))
	for i, r := range table {
		names[i] = r.Name
	}
	return names
}

// Mirror is a registry to ask for images of another one.
type Mirror struct {
	Of  string // the other one's host, "registry.k8s.io"
	URL string // "http://172.28.0.127:5000"
}

// Settings is what a runtime's configuration depends on.
type Settings struct {
	// CgroupVersion is 1 or 2.
	CgroupVersion int
	// PauseImage is the sandbox image; "" leaves the runtime's own choice.
	PauseImage string
	// RestrictOOM says that processes here may not lower their
	// oom_score_adj, so the runtime must not try.
	RestrictOOM bool
	// Snapshotter is "overlayfs" (also ""), "fuse-overlayfs" or "native".
	Snapshotter string
	// BaseSpec is the path of an OCI spec that containers start from; "" is
	// the runtime's own.
	BaseSpec string
	// Patches are merged over the configuration and JSONPatches (RFC 6902,
	// as JSON or YAML) then applied to it.
	Patches, JSONPatches []string
}
