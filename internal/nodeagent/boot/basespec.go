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

// baseSpec writes the OCI spec that containers start from and gives its path,
// or "" where the machine shows no product files. A container gets a /sys of
// its own, with the host's files in it, so a hook hides them there as well.
func (m *Machine) baseSpec(ctx context.Context) (string, error) {
	shown := false
	for target := range ProductFiles {
		shown = shown || m.exists(target)
	}
	if !shown {
		return "", nil
	}
	text, err := m.Kernel.Output(ctx, "", "ctr", "oci", "spec")
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
		"createContainer": {{Path: nodespec.NodeBinary, Args: []string{"kluster-node", "hide-product"}}},
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
