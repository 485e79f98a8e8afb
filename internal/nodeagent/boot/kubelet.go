package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// kubeletFiles are those of kubeadm that may name the runtime's socket; which of
// them do depends on kubeadm's version.
var kubeletFiles = []string{
	"/var/lib/kubelet/instance-config.yaml", "/var/lib/kubelet/config.yaml", kubeletFlags,
}

// kubeletFlags holds the kubelet's flags, in quotes, as a shell variable.
const kubeletFlags = "/var/lib/kubelet/kubeadm-flags.env"

// pointKubelet makes the kubelet use the node's container runtime. It changes nothing
// where it does, or where kubeadm has yet to configure it.
func pointKubelet(ctx context.Context, m *Machine) error {
	runtime, err := cri.Get(m.Node.Runtime)
	if err != nil {
		return err
	}
	configured := false
	for _, file := range kubeletFiles {
		have, err := m.pointFile(file, runtime)
		if err != nil {
			return err
		}
		configured = configured || have
	}
	if !configured {
		return nil
	}
	return m.dropKubeletGates(ctx, runtime)
}

// pointFile puts a runtime's socket in place of any other's, and says whether there
// is such a file.
func (m *Machine) pointFile(file string, runtime cri.Runtime) (bool, error) {
	text, err := os.ReadFile(m.path(file))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the kubelet's configuration: %w", err)
	}
	var pairs []string
	for _, name := range cri.Names() {
		other, err := cri.Get(name)
		if err != nil {
			return false, err
		}
		pairs = append(pairs, other.Socket, runtime.Socket)
	}
	pointed := strings.NewReplacer(pairs...).Replace(string(text))
	if pointed == string(text) {
		return true, nil
	}
	return true, m.write(file, pointed, 0o644)
}

// dropKubeletGates gives the kubelet the feature gates that it needs beside the
// runtime, and takes away another's. A drop-in that is there is right: the kubelet
// is only asked for its version where one may be missing.
func (m *Machine) dropKubeletGates(ctx context.Context, runtime cri.Runtime) error {
	if len(runtime.Gates) == 0 {
		if err := os.Remove(m.path(nodespec.RuntimeDropIn)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the kubelet's drop-in of another runtime: %w", err)
		}
		return nil
	}
	if m.exists(nodespec.RuntimeDropIn) {
		return m.passDropIns()
	}
	version, err := m.Kernel.Output(ctx, "", "kubelet", "--version") // "Kubernetes v1.36.3"
	if err != nil {
		return fmt.Errorf("asking the kubelet for its version: %w", err)
	}
	text, err := runtime.KubeletDropIn(strings.TrimSpace(strings.TrimPrefix(version, "Kubernetes ")))
	if err != nil || text == nil {
		return err
	}
	if err := m.write(nodespec.RuntimeDropIn, string(text), 0o644); err != nil {
		return err
	}
	return m.passDropIns()
}

// passDropIns makes the kubelet read drop-ins: one that had none was not told to.
func (m *Machine) passDropIns() error {
	text, err := os.ReadFile(m.path(kubeletFlags))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the kubelet's flags: %w", err)
	}
	line := strings.TrimRight(string(text), "\n")
	flags, quoted := strings.CutSuffix(line, `"`)
	if !quoted || strings.Contains(line, "--config-dir=") {
		return nil
	}
	return m.write(kubeletFlags, flags+" --config-dir="+nodespec.KubeletDropIns+"\"\n", 0o644)
}
