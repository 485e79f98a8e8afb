package boot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodeagent/store"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// A node that runs changes its container runtime in the parts below, with its kubelet
// stopped: StopRuntime, UseRuntime, StartRuntime, and RecordRuntime last of all. Until
// then a boot, like RestoreRuntime, makes the node again what its record says.

const (
	kubeletUnit = "kubelet.service"
	// apiServer is the container that ends first, so that clients go elsewhere
	// before its etcd ends.
	apiServer = "^kube-apiserver$"
	// stopGrace is how many seconds a container has to end by itself.
	stopGrace = "10"
)

// StopRuntime ends all pods of a runtime, and then its units.
func StopRuntime(ctx context.Context, m *Machine, runtime cri.Runtime) error {
	if m.systemctl(ctx, "is-active", runtime.Unit()) == nil {
		if err := m.removePods(ctx, runtime); err != nil {
			return fmt.Errorf("ending the pods of %s: %w", runtime.Name, err)
		}
	}
	if err := m.systemctl(ctx, append([]string{"stop"}, runtime.Units...)...); err != nil {
		return fmt.Errorf("stopping %s: %w", runtime.Name, err)
	}
	return nil
}

// removePods ends containers as their programs want it, and removes what is left of
// their pods: networks, mounts, processes.
func (m *Machine) removePods(ctx context.Context, runtime cri.Runtime) error {
	crictl := func(args ...string) (string, error) {
		args = append(slices.Clone(runtime.Debug), args...)
		return m.Kernel.Output(ctx, "", args[0], args[1:]...)
	}
	for _, which := range [][]string{{"--name", apiServer}, nil} {
		out, err := crictl(append([]string{"ps", "--quiet"}, which...)...)
		if err != nil {
			return err
		}
		var group errgroup.Group
		for _, id := range strings.Fields(out) {
			group.Go(func() error { _, err := crictl("stop", "--timeout", stopGrace, id); return err })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	_, err := crictl("rmp", "--force", "--all")
	return err
}

// UseRuntime configures the node and its kubelet for a runtime, as a boot does, with
// the image's preloaded images. Nothing of it may run. The node's record stays.
func UseRuntime(ctx context.Context, m *Machine, runtime cri.Runtime, oci string) error {
	next := *m
	next.Node.Runtime, next.Node.OCIRuntime = runtime.Name, oci
	if err := configureRuntime(ctx, &next); err != nil {
		return err
	}
	if err := os.Remove(m.path(nodespec.RuntimeDropIn)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the kubelet's drop-in of the former runtime: %w", err)
	}
	if err := pointKubelet(ctx, &next); err != nil {
		return err
	}
	if err := m.fillStore(ctx, runtime); err != nil {
		return err
	}
	return m.systemctl(ctx, "daemon-reload")
}

func (m *Machine) fillStore(ctx context.Context, runtime cri.Runtime) error {
	src, dst := m.path(store.Dir(runtime)), m.path(runtime.StateDir)
	if sharesState(runtime) {
		if err := store.Reclaim(runtime.Store, src, dst); err != nil {
			return err
		}
	}
	return store.Link(ctx, runtime.Store, src, dst, m.Log)
}

// sharesState says whether another runtime keeps state in this one's folder.
func sharesState(runtime cri.Runtime) bool {
	return slices.ContainsFunc(cri.Names(), func(name string) bool {
		other, err := cri.Get(name)
		return err == nil && name != runtime.Name && slices.Contains(other.Volumes, runtime.StateDir)
	})
}

// StartRuntime returns when the runtime's socket answers.
func StartRuntime(ctx context.Context, m *Machine, runtime cri.Runtime) error {
	if err := m.systemctl(ctx, append([]string{"start"}, runtime.Units...)...); err != nil {
		return fmt.Errorf("starting %s: %w", runtime.Name, err)
	}
	args := append(slices.Clone(runtime.Debug), "version")
	if _, err := m.Kernel.Output(ctx, "", args[0], args[1:]...); err != nil {
		return fmt.Errorf("asking %s for its version: %w", runtime.Name, err)
	}
	return nil
}

// RecordRuntime makes a runtime the one that the node boots with.
func RecordRuntime(m *Machine, runtime cri.Runtime, oci string) error {
	node := m.Node
	node.Runtime, node.OCIRuntime = runtime.Name, oci
	text, err := json.MarshalIndent(node, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding what the node is told: %w", err)
	}
	return m.write(nodespec.NodeFile, string(text), 0o644)
}

// RestoreRuntime brings a node back that a swap left half-way: to the runtime of its
// record, with its kubelet. It may be repeated, also on a node that is well.
func RestoreRuntime(ctx context.Context, m *Machine) error {
	recorded, err := cri.Get(m.Node.Runtime)
	if err != nil {
		return err
	}
	if err := m.systemctl(ctx, "stop", kubeletUnit); err != nil {
		return fmt.Errorf("stopping the kubelet: %w", err)
	}
	for _, name := range cri.Names() {
		other, err := cri.Get(name)
		if err != nil {
			return err
		}
		if name == recorded.Name || !m.hasUnits(other) {
			continue
		}
		if err := StopRuntime(ctx, m, other); err != nil {
			// What is left of its pods is in nobody's way.
			m.Log.Warn("another runtime cannot be stopped well", "error", errors.Join(err, m.systemctl(ctx, append([]string{"stop"}, other.Units...)...)))
		}
	}
	if err := UseRuntime(ctx, m, recorded, m.Node.OCIRuntime); err != nil {
		return err
	}
	// Its own configuration may have been another when it started.
	if err := m.systemctl(ctx, append([]string{"restart"}, recorded.Units...)...); err != nil {
		return fmt.Errorf("starting %s: %w", recorded.Name, err)
	}
	if err := m.systemctl(ctx, "start", kubeletUnit); err != nil {
		return fmt.Errorf("starting the kubelet: %w", err)
	}
	return nil
}

// hasUnits says whether the node's image holds a runtime.
func (m *Machine) hasUnits(runtime cri.Runtime) bool {
	return !slices.ContainsFunc(runtime.Units, func(unit string) bool { return !m.exists(unitDir + unit) })
}

func (m *Machine) systemctl(ctx context.Context, args ...string) error {
	_, err := m.Kernel.Output(ctx, "", "systemctl", args...)
	return err
}
