package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// excludeLabel is set by kubeadm on control planes; it keeps Services of type
// LoadBalancer from them, which is wrong where they take pods.
const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers"

// fieldManager owns the fields that kluster sets in the cluster's objects.
const fieldManager = "kluster"

// installAddons applies those of kluster's own additions that nodes need.
func (c *creation) installAddons(ctx context.Context) error {
	return c.installBuiltIn(ctx, addons.Early)
}

// installLate applies the others when the pods of cluster DNS run. Before, theirs
// would only take processors from these; after, there is a time of little work
// until the first readiness probe, and a provisioner that starts now finds the API.
func (c *creation) installLate(ctx context.Context) error {
	if c.provesDNS() {
		select {
		case <-c.dnsRuns:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := c.installBuiltIn(ctx, addons.Late); err != nil {
		return err
	}
	return c.announceRegistry(ctx)
}

func (c *creation) installBuiltIn(ctx context.Context, part addons.Part) error {
	table, err := addons.Load()
	if err != nil {
		return err
	}
	objects, err := table.BuiltIn(part, c.addonValues())
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := c.apply(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// addonValues are what the manifests of add-ons depend on.
func (c *creation) addonValues() addons.Values {
	return addons.Values{
		Images:     map[string]string{"local-path-provisioner": c.images.provisioner, "busybox": c.images.busybox},
		PodNetwork: c.cfg.Networking.CNI == "default", OCIRuntimes: c.classes(),
		Cluster: c.cfg.Name, Kubernetes: c.facts.Kubernetes, Subnets: c.facts.Subnets,
	}
}

// apply applies one object, on the server's side, as often as it takes: API
// servers behind the load balancer are still coming up.
func (c *creation) apply(ctx context.Context, o *unstructured.Unstructured) error {
	return c.persist(ctx, "applying "+o.GetKind()+" "+o.GetName(), func(ctx context.Context) error {
		return applyObject(ctx, c.dynamic, o)
	})
}

func applyObject(ctx context.Context, client dynamic.Interface, o *unstructured.Unstructured) error {
	_, err := client.Resource(resourceOf(o.GroupVersionKind())).Namespace(o.GetNamespace()).
		Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

// resourceOf is the resource of a kind, by the rules of English, which
// UnsafeGuessKindToResource does not know all of: it makes "gatewaies" of Gateway.
func resourceOf(kind schema.GroupVersionKind) schema.GroupVersionResource {
	guess, _ := meta.UnsafeGuessKindToResource(kind)
	if stem, ok := strings.CutSuffix(guess.Resource, "ies"); ok && strings.ContainsAny(stem[len(stem)-1:], "aeiou") {
		guess.Resource = stem + "ys"
	}
	return guess
}

// labelNodes labels every node as soon as it is registered.
func (c *creation) labelNodes(ctx context.Context) error {
	labelled := map[string]bool{}
	return c.followNodes(ctx, func(nodes map[string]*corev1.Node) (bool, error) {
		for _, n := range c.cfg.Nodes {
			if nodes[n.Name] == nil || labelled[n.Name] {
				continue
			}
			if err := c.labelNode(ctx, n); err != nil {
				return false, err
			}
			labelled[n.Name] = true
		}
		return len(labelled) == len(c.cfg.Nodes), nil
	})
}

// metadataPatch is what a merge patch changes of an object's metadata. What is empty
// is left out: null would remove what others, such as the kubelet, have set.
func metadataPatch(labels map[string]any, annotations map[string]string) map[string]any {
	patch := map[string]any{}
	if len(labels) > 0 {
		patch["labels"] = labels
	}
	if len(annotations) > 0 {
		patch["annotations"] = annotations
	}
	return patch
}

// labelNode sets what a kubelet may not set on itself, and takes off what does
// not fit control planes that take pods.
func (c *creation) labelNode(ctx context.Context, n config.Node) error {
	labels := map[string]any{}
	for k, v := range c.kubeadm[n.Name].Labels {
		labels[k] = v
	}
	for _, name := range c.runs[n.Name].classes() {
		labels[addons.OCILabel+name] = "true"
	}
	if n.Role == nodespec.RoleControlPlane && !n.KeepExcludeLB {
		labels[excludeLabel] = nil
	}
	metadata := metadataPatch(labels, c.kubeadm[n.Name].Annotations)
	if len(metadata) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("labels of node %s: %w", n.Name, err)
	}
	_, err = c.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("labelling node %s: %w", n.Name, err)
	}
	return nil
}
