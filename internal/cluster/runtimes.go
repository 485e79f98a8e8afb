package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// runs is what can run the containers of a node.
type runs struct {
	// runtime is the node's container runtime, and held the names of all that its
	// image holds.
	runtime cri.Runtime
	held    []string
	// oci names the OCI runtimes that the image holds.
	oci []string
}

// runsOf sees that an image holds what a node is to run.
func runsOf(n config.Node, m nodespec.Manifest) (runs, error) {
	r := runs{held: m.Runtimes, oci: ociOf(m)}
	if !slices.Contains(r.held, n.Runtime) {
		return r, fmt.Errorf("it holds %s, not the container runtime %s; make one with: kluster build node-image --runtime %s",
			strings.Join(r.held, ", "), n.Runtime, n.Runtime)
	}
	oci, err := cri.GetOCI(n.OCIRuntime)
	if err != nil {
		return r, err
	}
	if n.OCIRuntime != "" && !slices.Contains(r.oci, oci.Name) {
		return r, fmt.Errorf("it holds %s, not the OCI runtime %s; build it again", strings.Join(r.oci, ", "), oci.Name)
	}
	r.runtime, err = cri.Get(n.Runtime)
	return r, err
}

// ociOf names the OCI runtimes of an image.
func ociOf(m nodespec.Manifest) []string {
	return slices.DeleteFunc(cri.OCINames(), func(name string) bool {
		return !slices.ContainsFunc(m.Components, func(c nodespec.ComponentRecord) bool { return c.Name == name })
	})
}

// classes names the OCI runtimes that pods of a node can pick.
func (r runs) classes() []string {
	if !r.runtime.Classes {
		return nil
	}
	return r.oci
}

// classes names the OCI runtimes that pods can pick on some node.
func (c *creation) classes() []string {
	return slices.DeleteFunc(cri.OCINames(), func(name string) bool {
		return !slices.ContainsFunc(c.cfg.Nodes, func(n config.Node) bool { return slices.Contains(c.runs[n.Name].classes(), name) })
	})
}

// runtimeNames names the container runtimes of the nodes, each once, with commas.
func (c *creation) runtimeNames() string {
	var names []string
	for _, n := range c.cfg.Nodes {
		names = append(names, n.Runtime)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

// noteRuntimes says what users of the nodes' container runtimes must know.
func (c *creation) noteRuntimes() {
	var told []string
	for _, n := range c.cfg.Nodes {
		runtime := c.runs[n.Name].runtime
		if slices.Contains(told, runtime.Name) {
			continue
		}
		told = append(told, runtime.Name)
		if len(runtime.Limits) > 0 {
			c.note("limits of " + runtime.Name + ": " + strings.Join(runtime.Limits, "; "))
		}
		if !runtime.TakesPatches && len(c.cfg.Patches.Containerd)+len(c.cfg.Patches.ContainerdJSON6902) > 0 {
			c.note("patches of containerd's configuration are not for nodes with " + runtime.Name)
		}
	}
}
