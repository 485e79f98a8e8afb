package config

import (
	"slices"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

// Flags are what the command line asks for; what is set wins over a file.
type Flags struct {
	// Name, Image, KubernetesVersion, Runtime and OCIRuntime are unset when "".
	Name, Image, KubernetesVersion, Runtime, OCIRuntime string
	// Nodes (--nodes) is a shorthand for a number of nodes, ControlPlanes and
	// Workers say how many of each; nil when not given.
	Nodes, ControlPlanes, Workers *int
	// Ephemeral and Hardened are nil when not given.
	Ephemeral, Hardened *bool
	// Addons are asked for in addition to the file's.
	Addons []string
	// Ports (--port) lead from the host to Services of type LoadBalancer, as
	// "[ADDRESS:]HOSTPORT:PORT"; they are added to the file's.
	Ports []string
	// Registry asks for the local registry, and Caches, each REGISTRY or
	// REGISTRY=URL, replace those of a file.
	Registry bool
	Caches   []string
	// Mirrors, each REGISTRY=URL, replace a file's of the same registry.
	Mirrors []string
}

// Options are what resolving needs to know of the world.
type Options struct {
	// KubernetesVersions that a node image can be built for, as "v1.36.3"; the
	// first is the default.
	KubernetesVersions []string
	// Runtimes that a node can have; the first is the default.
	Runtimes []string
	// OCIRuntimes that a node can have; the first is the default.
	OCIRuntimes []string
	// Addons that a cluster can have.
	Addons []string
	// KernelHasIPVS allows kubeProxyMode ipvs in a kind file.
	KernelHasIPVS bool
	// PathExists checks a mount's host path; nil checks nothing. A kind file's
	// host paths are not checked: the engine makes missing ones, as under kind.
	PathExists func(path string) bool
	// ReadFile reads a file of certificates; nil takes them without a look.
	ReadFile func(path string) ([]byte, error)
	// WorkDir is where relative host paths in a kind file start; "" for the
	// process's own.
	WorkDir string
}

// FromFlags resolves a cluster without a file. The error is an *Invalid.
func FromFlags(f Flags, o Options) (*Cluster, error) {
	p := &problems{}
	w := wish{from: flagSources()}
	w.applyFlags(f, p)
	return resolve(w, o, p)
}

// applyFlags puts what the flags say over what the file says. --image and the
// runtimes stand for every node's, and --kubernetes-version for the versions that kind's
// images name.
func (w *wish) applyFlags(f Flags, p *problems) {
	flags := flagSources()
	override := func(value *string, from *string, flag, source string) {
		if flag != "" {
			*value, *from = flag, source
		}
	}
	override(&w.Name, &w.from.name, f.Name, flags.name)
	override(&w.Runtime, &w.from.runtime, f.Runtime, flags.runtime)
	override(&w.OCIRuntime, &w.from.ociRuntime, f.OCIRuntime, flags.ociRuntime)
	override(&w.KubernetesVersion, &w.from.version, f.KubernetesVersion, flags.version)
	override(&w.Image, &w.from.image, f.Image, flags.image)
	if f.Ephemeral != nil {
		w.Ephemeral = f.Ephemeral
	}
	if f.Hardened != nil {
		w.Hardened = f.Hardened
	}
	w.addonFlags = f.Addons
	w.portsFromFlags(f.Ports, p)
	if f.Registry && w.Registries.Local == nil {
		w.Registries.Local = &v1alpha1.LocalRegistry{}
	}
	if len(f.Caches) > 0 {
		w.cachesFromFlags(f.Caches)
	}
	if len(f.Mirrors) > 0 {
		w.mirrorsFromFlags(f.Mirrors, p)
	}
	w.Nodes = slices.Clone(w.Nodes)
	for i := range w.Nodes {
		if f.Image != "" || f.KubernetesVersion != "" && isKindImage(w.Nodes[i].Image) {
			w.Nodes[i].Image = ""
		}
		if f.Runtime != "" {
			w.Nodes[i].Runtime = ""
		}
		if f.OCIRuntime != "" {
			w.Nodes[i].OCIRuntime = ""
		}
	}
	if f.KubernetesVersion != "" && isKindImage(w.Image) && f.Image == "" {
		w.Image = ""
	}
	w.nodesFromFlags(f, p)
}
