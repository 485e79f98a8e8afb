package boot

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kluster-project/kluster/internal/nodespec"
)

const baseSpecPath = "/etc/containerd/base-spec.json"

type hook struct {
	Path string   `json:"path"`
	Args []string `json:"args"`
}

// productHook is the OCI hook that hides the host's product files in a container: it
// gets a /sys of its own, with the host's files in it.
var productHook = []string{nodespec.NodeBinary, "hide-product"}

// showsProduct says whether the machine shows product files.
func (m *Machine) showsProduct() bool {
	for target := range ProductFiles {
		if m.exists(target) {
			return true
		}
	}
	return false
}

// baseSpec writes the OCI spec that containers start from, the one that a command
// prints with the product hook, and gives its path; "" without a command.
func (m *Machine) baseSpec(ctx context.Context, command []string) (string, error) {
	if len(command) == 0 {
		return "", nil
	}
	text, err := m.Kernel.Output(ctx, "", command[0], command[1:]...)
	if err != nil {
		return "", fmt.Errorf("asking for the default OCI spec: %w", err)
	}
	text, err = withProductHook(text)
	if err != nil {
		return "", err
	}
	return baseSpecPath, m.write(baseSpecPath, text, 0o644)
}

func withProductHook(spec string) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(spec), &fields); err != nil {
		return "", fmt.Errorf("reading the default OCI spec: %w", err)
	}
	hooks, err := json.Marshal(map[string][]hook{
		"createContainer": {{Path: productHook[0], Args: append([]string{"kluster-node"}, productHook[1:]...)}},
	})
	if err != nil {
		return "", fmt.Errorf("encoding hooks: %w", err)
	}
	fields["hooks"] = hooks
	out, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encoding the OCI spec: %w", err)
	}
	return string(out), nil
}
