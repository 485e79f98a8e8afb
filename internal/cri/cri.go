// Package cri is the table of container runtimes a node can run: for each, as
// data, where it listens, which units it is made of, how it is configured and
// which commands reach it. Nothing outside asks which runtime it has.
package cri

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

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
	// Reports is how a node's status names it ("containerd" in
	// "containerd://2.4.2").
	Reports string
	// Socket is the CRI endpoint as a URL ("unix:///run/...").
	Socket string
	// Units are its systemd units in the order they start; when the last one is
	// up, Socket answers. LogUnits are the ones whose journal tells what went
	// wrong.
	Units, LogUnits []string
	// Drivers are the cgroup drivers by cgroup version (1 or 2).
	Drivers map[int]string
	// Configure gives the files that a node needs before Units start.
	Configure func(Settings) ([]nodespec.File, error)
	// TakesPatches: Settings.Patches, which users write for containerd, are for it.
	TakesPatches bool
	// DefaultSpec is the command that prints the OCI spec that containers start
	// from, for Settings.BaseSpec; nil where that is not used.
	DefaultSpec []string
	// Debug is the command that speaks CRI to it.
	Debug []string
	// Holds is the command that prints what the node has of images, as
	// imageload.ParseHeld reads it. Load is the one that reads an imageload.Stream from its
	// stdin, which may lack the layers that Holds told of; it makes all of the images
	// or, when it fails or is killed, none. Import is the same, slower, for what Load does
	// not take; nil where there is nothing of the kind.
	Holds, Load, Import []string
	// Whole is the command that people give a whole archive without kluster, to compare with.
	Whole []string
	// Mirrors say how it is told where else than from a registry to pull.
	Mirrors Mirrors
	// StateDir is the folder that holds images and containers, and Volumes are
	// the folders that must not lie on the node's own file system, StateDir first.
	StateDir string
	Volumes  []string
	// Store says how the images that a node image holds come into StateDir.
	Store Store
	// Gates are feature gates that the kubelet beside it must have.
	Gates []Gate
	// Classes: pods can pick an OCI runtime by a RuntimeClass whose handler has
	// its name. Without, all pods run with the node's own choice.
	Classes bool
	// Limits are what it cannot do, for people.
	Limits []string
}

// Gate is a feature gate of the kubelet, of the minor versions of Kubernetes that
// know it ("v1.36").
type Gate struct {
	Name  string
	Value bool
	Since string
}

// KubeletGates are the feature gates of the kubelet beside the runtime, for a version
// of Kubernetes ("v1.36.3").
func (r Runtime) KubeletGates(kubernetes string) map[string]bool {
	gates := map[string]bool{}
	for _, g := range r.Gates {
		if semver.Compare(semver.MajorMinor(kubernetes), g.Since) >= 0 {
			gates[g.Name] = g.Value
		}
	}
	return gates
}

// Store says how preloaded images get from a node image into StateDir.
type Store struct {
	// Fill is the shell script that imports the OCI layout at /images. It runs as
	// root in a machine with the runtime's programs; its arguments are the images
	// that must never be collected as garbage.
	Fill string
	// Parts are what of StateDir makes a store, relative to it like all paths here.
	Parts []string
	// Layers is the folder whose entries are layers, and Blobs one of other files
	// that never change: a node links each entry. Copied are the files and folders
	// that a node has for itself. The last is what makes the rest exist.
	Layers, Blobs string
	Copied        []string
	// Inner is the folder within a layer's own that holds its files, "" if that is
	// the layer. Only it is linked, since the runtime writes beside it.
	Inner string
	// InPlace: the runtime reads the store where it is (Settings.Store), so that
	// nothing is linked.
	InPlace bool
}

// CgroupDriver is the driver that runtime and kubelet both must use on cgroup
// version 1 or 2.
func (r Runtime) CgroupDriver(version int) string { return r.Drivers[version] }

// SocketPath is Socket as a path.
func (r Runtime) SocketPath() string { return strings.TrimPrefix(r.Socket, "unix://") }

// Unit is the last of Units.
func (r Runtime) Unit() string { return r.Units[len(r.Units)-1] }

// drivers are those of every runtime: a kubelet's configuration is the same on all
// nodes.
var drivers = map[int]string{1: DriverCgroupfs, 2: DriverSystemd}

var table = []Runtime{containerd, dockerd, crio}

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

// Reported finds the runtime that a node's status names ("docker://28.5.2").
func Reported(version string) (Runtime, bool) {
	name, _, _ := strings.Cut(version, "://")
	i := slices.IndexFunc(table, func(r Runtime) bool { return r.Reports == name })
	if i < 0 {
		return Runtime{}, false
	}
	return table[i], true
}

// Names lists the runtimes, the default first.
func Names() []string {
	names := make([]string, len(table))
	for i, r := range table {
		names[i] = r.Name
	}
	return names
}

// Volumes are the folders of some runtimes that must not lie on a node's own file
// system, each once.
func Volumes(names ...string) []string {
	var all []string
	for _, r := range table {
		for _, v := range r.Volumes {
			if slices.Contains(names, r.Name) && !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	return all
}

// Settings is what a runtime's configuration depends on.
type Settings struct {
	// CgroupVersion is 1 or 2.
	CgroupVersion int
	// PauseImage is the sandbox image; "" leaves the runtime's own choice.
	PauseImage string
	// OCI are the OCI runtimes that the node has, its own choice first.
	OCI []OCI
	// RestrictOOM says that processes here may not lower their
	// oom_score_adj, so the runtime must not try; NoHugetlb that there is no
	// controller of huge pages.
	RestrictOOM, NoHugetlb bool
	// LacksCaps says that the node lacks capabilities that the kernel has: a runtime
	// that gives a privileged container all of the kernel's must be helped.
	LacksCaps bool
	// Snapshotter is "overlayfs" (also ""), "fuse-overlayfs" or "native".
	Snapshotter string
	// BaseSpec is the path of an OCI spec that containers start from; "" is
	// the runtime's own. Hook is the path and arguments of a program to run
	// when a container was created; nil for none. A runtime knows one of both.
	BaseSpec string
	Hook     []string
	// Store is the folder of preloaded images that are read in place, "" for
	// none; see Store.InPlace.
	Store string
	// Patches are merged over the configuration and JSONPatches (RFC 6902,
	// as JSON or YAML) then applied to it.
	Patches, JSONPatches []string
}

// restricted says whether the node cannot do all that containers ask for.
func (s Settings) restricted() bool { return s.RestrictOOM || s.NoHugetlb || s.LacksCaps }

// script is the command that runs a shell script.
func script(text string) []string { return []string{"sh", "-c", text} }

// crictlFile is the configuration of crictl, of every runtime.
func crictlFile(socket string) nodespec.File {
	text := fmt.Sprintf("runtime-endpoint: %s\nimage-endpoint: %s\ntimeout: 10\n", socket, socket)
	return textFile("/etc/crictl.yaml", text)
}

func textFile(path, text string) nodespec.File {
	return nodespec.File{Path: path, Mode: 0o644, Data: []byte(text)}
}
