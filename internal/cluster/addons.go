package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// excludeLabel is set by kubeadm on control planes; it keeps Services of type
// LoadBalancer from them, which is wrong where they take pods.
const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers"

// installAddons applies kluster's own additions and every node's labels, and
// starts the pod that proves DNS.
func (c *creation) installAddons(ctx context.Context) error {
	manifests, err := addons.Render(addons.Values{
		ProvisionerImage: c.images.provisioner, HelperImage: c.images.busybox,
		PodNetwork: c.cfg.Networking.CNI == "default",
	})
	if err != nil {
		return err
	}
	// On the node, with its own kubectl, because it is there and of the right version.
	if err := c.apply(ctx, manifests); err != nil {
		return err
	}
	if c.provesDNS() {
		return c.startProbe(ctx)
	}
	return nil
}

// applyTries is how often an apply is tried: the API servers behind the load
// balancer are still coming up, and one may end a request as it restarts.
const applyTries = 3

func (c *creation) apply(ctx context.Context, manifests []byte) error {
	var err error
	for range applyTries {
		if err = c.m.provider.Exec(ctx, c.firstControlPlane().ID, provider.Command{
			Args:  []string{"kubectl", "--kubeconfig", adminConf, "apply", "--server-side", "--validate=ignore", "-f", "-"},
			Stdin: bytes.NewReader(manifests),
		}); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// labelNode sets what a kubelet may not set on itself, and takes off what does
// not fit control planes that take pods.
func (c *creation) labelNode(ctx context.Context, n config.Node) error {
	labels, annotations := map[string]any{}, c.kubeadm[n.Name].Annotations
	for k, v := range c.kubeadm[n.Name].Labels {
		labels[k] = v
	}
	if n.Role == nodespec.RoleControlPlane && !n.KeepExcludeLB {
		labels[excludeLabel] = nil
	}
	if len(labels)+len(annotations) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels, "annotations": annotations}})
	if err != nil {
		return fmt.Errorf("labels of node %s: %w", n.Name, err)
	}
	_, err = c.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("labelling node %s: %w", n.Name, err)
	}
	return nil
}
