package servicelb

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/wait"
)

const (
	// namespace and manager are the names in upstream's manifests and in
	// the kustomization beside them.
	namespace = "metallb-system"
	manager   = "kluster"
	// poolName names the pool and its advertisement, which are applied last.
	poolName = "kluster"
	// established bounds the time until the API serves MetalLB's types, which are
	// asked for again and again.
	established = 30 * time.Second
	again       = 250 * time.Millisecond
)

// Kubectl is the Cluster that kubectl with a kubeconfig reaches.
type Kubectl struct {
	Kubeconfig string
	// Manifests is a folder with a kustomization of MetalLB.
	Manifests string
}

var _ Cluster = Kubectl{}

// owned prints an object's name and who manages it.
const owned = `jsonpath={.metadata.name} {.metadata.labels.app\.kubernetes\.io/managed-by}`

// marks are objects of every MetalLB, one of which may be in any namespace or have none
// of its own: those of another than kluster's are left alone.
var marks = [][]string{{"namespace", namespace}, {"customresourcedefinition", "ipaddresspools.metallb.io"}}

// State looks at who made what every MetalLB has, and for what Apply makes last.
func (k Kubectl) State(ctx context.Context) (State, error) {
	whole := true
	for _, mark := range marks {
		by, err := k.run(ctx, nil, append([]string{"get", "--ignore-not-found", "-o", owned}, mark...)...)
		if err != nil {
			return Incomplete, err
		}
		switch fields := strings.Fields(by); {
		case len(fields) == 0:
			whole = false
		case len(fields) == 1 || fields[1] != manager:
			return Foreign, nil
		}
	}
	if !whole {
		return Incomplete, nil
	}
	last, err := k.run(ctx, nil, "get", "l2advertisements.metallb.io", poolName, "-n", namespace, "--ignore-not-found", "-o", "name")
	switch {
	case err != nil && strings.Contains(err.Error(), "doesn't have a resource type"):
		return Incomplete, nil
	case err != nil:
		return Incomplete, err
	case last == "":
		return Incomplete, nil
	}
	return Complete, nil
}

// Apply applies the manifests, then what says which addresses are to be given out.
func (k Kubectl) Apply(ctx context.Context, addrs []nodespec.AddrRange) error {
	if _, err := k.run(ctx, nil, "apply", "--server-side", "--field-manager", manager, "--force-conflicts", "-k", k.Manifests); err != nil {
		return err
	}
	if err := k.makeSecret(ctx); err != nil {
		return err
	}
	objects, err := pool(addrs)
	if err != nil {
		return err
	}
	end := time.Now().Add(established)
	for {
		_, err := k.run(ctx, objects, "apply", "--server-side", "--field-manager", manager, "--force-conflicts", "-f", "-")
		if err == nil || time.Now().After(end) || !wait.For(ctx, again) {
			return err
		}
	}
}

// makeSecret makes what the speakers trust each other by. MetalLB's controller would
// make it later, and kubelets look again for a missing one only after seconds.
func (k Kubectl) makeSecret(ctx context.Context) error {
	secret, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "memberlist", "namespace": namespace},
		"stringData": map[string]any{"secretkey": rand.Text()},
	})
	if err != nil {
		return err
	}
	// Not as an argument, which everybody on the host can read.
	_, err = k.run(ctx, secret, "create", "-f", "-")
	if err != nil && strings.Contains(err.Error(), "already exists") {
		return nil
	}
	return err
}

// pool is what MetalLB gives out, and says on the nodes' network.
func pool(addrs []nodespec.AddrRange) ([]byte, error) {
	var ranges []string
	for _, r := range addrs {
		ranges = append(ranges, r.String())
	}
	object := func(kind string, spec map[string]any) map[string]any {
		return map[string]any{
			"apiVersion": "metallb.io/v1beta1", "kind": kind, "spec": spec,
			"metadata": map[string]any{"name": poolName, "namespace": namespace},
		}
	}
	text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{
		object("IPAddressPool", map[string]any{"addresses": ranges}),
		object("L2Advertisement", map[string]any{"ipAddressPools": []string{poolName}}),
	}})
	if err != nil {
		return nil, fmt.Errorf("encoding the pool of addresses: %w", err)
	}
	return text, nil
}

// run gives what kubectl printed. Its cache of the API's types is made anew: an old
// one does not know MetalLB's.
func (k Kubectl) run(ctx context.Context, stdin []byte, args ...string) (string, error) {
	dir, err := os.MkdirTemp("", "kubectl-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, "kubectl", append([]string{"--kubeconfig", k.Kubeconfig, "--cache-dir", dir}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &said
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			err = errors.New(text)
		}
		return "", fmt.Errorf("kubectl %s: %w", args[0], err)
	}
	return strings.TrimSpace(out.String()), nil
}
