package parity_test

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// clusterUnderTest is a cluster to look at from inside its nodes: both are
// looked at the same way, whoever made them.
type clusterUnderTest struct {
	name  string
	nodes []bareNode // control planes first
}

// underTest is kluster's cluster.
func underTest(ctx context.Context, e *harness.Engine) clusterUnderTest {
	GinkgoHelper()
	list, err := e.Containers(ctx, c.Name)
	Expect(err).NotTo(HaveOccurred())
	u := clusterUnderTest{name: c.Name}
	for _, found := range list { // by name, which sorts control planes first
		if found.Role != nodespec.RoleLoadBalancer {
			u.nodes = append(u.nodes, bareNode{
				Name: found.Name, Role: found.Role, Addr: netip.MustParseAddr(found.Address), Cluster: c.Name, Network: c.Name,
			})
		}
	}
	return u
}

// snapshot is what kubeadm has made, in normal form: "control-plane-1
// /etc/kubernetes/admin.conf" or "configmap kube-system/coredns" to contents.
type snapshot map[string]string

// files are the paths that kubeadm writes in a node.
var files = []string{
	"/etc/kubernetes", "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/instance-config.yaml",
	"/var/lib/kubelet/kubeadm-flags.env", "/var/lib/kubelet/pki",
}

// kinds are the objects of the API that kubeadm makes, and nodes.
var kinds = []string{
	"configmaps", "roles", "rolebindings", "clusterroles", "clusterrolebindings",
	"daemonsets", "deployments", "services", "serviceaccounts", "nodes",
}

// take takes a snapshot.
func (u clusterUnderTest) take(ctx context.Context, e *harness.Engine) snapshot {
	GinkgoHelper()
	s := snapshot{}
	norm := u.normaliser()
	for _, n := range u.nodes {
		for _, file := range files {
			Expect(s.addFiles(ctx, e, norm, n, u.short(n), file)).To(Succeed())
		}
	}
	first := u.nodes[0].Name
	// A taint that the controller manager has yet to take off is no difference.
	Eventually(ctx, func() string {
		return sh(ctx, e, first, "kubectl --kubeconfig=/etc/kubernetes/admin.conf get nodes -o jsonpath='{.items[*].spec.taints[*].key}'")
	}).WithTimeout(2 * time.Minute).ShouldNot(ContainSubstring("node.kubernetes.io/not-ready"))
	for _, kind := range kinds {
		out := sh(ctx, e, first, "kubectl --kubeconfig=/etc/kubernetes/admin.conf get --all-namespaces --output=json "+kind)
		Expect(s.addObjects(norm, []byte(out))).To(Succeed())
	}
	s["etcd members"] = norm.text(u.etcdMembers(ctx, e))
	return s
}

// short is a node's name without the cluster's.
func (u clusterUnderTest) short(n bareNode) string { return strings.TrimPrefix(n.Name, u.name+"-") }

// addFiles adds a path of a node and all below it; a path that is not there
// adds nothing.
func (s snapshot) addFiles(ctx context.Context, e *harness.Engine, norm normaliser, n bareNode, short, root string) error {
	stream, err := e.CopyFrom(ctx, n.Name, root)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer stream.Close()
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		name := path.Join(path.Dir(root), h.Name)
		content := fmt.Sprintf("mode %04o, owner %d:%d, type %c, link %q\n", h.Mode, h.Uid, h.Gid, h.Typeflag, h.Linkname)
		s[norm.text(short+" "+name)] = norm.text(content) + norm.file(name, data)
	}
}

// addObjects adds a kubectl list.
func (s snapshot) addObjects(norm normaliser, list []byte) error {
	var objects struct{ Items []map[string]any }
	if err := json.Unmarshal(list, &objects); err != nil {
		return err
	}
	for _, o := range objects.Items {
		meta, _ := o["metadata"].(map[string]any)
		key := fmt.Sprintf("%s %v", strings.ToLower(fmt.Sprint(o["kind"])), meta["name"])
		if ns, ok := meta["namespace"]; ok {
			key = fmt.Sprintf("%s %v/%v", strings.ToLower(fmt.Sprint(o["kind"])), ns, meta["name"])
		}
		for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"} {
			delete(meta, field)
		}
		if labels, ok := meta["labels"].(map[string]any); ok {
			// For kluster's RuntimeClasses, of which kubeadm knows nothing.
			maps.DeleteFunc(labels, func(key string, _ any) bool { return strings.HasPrefix(key, "oci.kluster.dev/") })
		}
		delete(o, "status")
		if spec, ok := o["spec"].(map[string]any); ok {
			// In the order nodes registered; the kubelet's machine, not kubeadm's work.
			delete(spec, "podCIDR")
			delete(spec, "podCIDRs")
		}
		b, err := yaml.Marshal(o)
		if err != nil {
			return err
		}
		s[norm.text(key)] = norm.text(string(b))
	}
	return nil
}

// etcdMembers are the members by name, as YAML.
func (u clusterUnderTest) etcdMembers(ctx context.Context, e *harness.Engine) string {
	GinkgoHelper()
	first := u.nodes[0].Name
	out := sh(ctx, e, first, "kubectl --kubeconfig=/etc/kubernetes/admin.conf -n kube-system exec etcd-"+first+
		" -- etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt"+
		" --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key member list -w json")
	var list struct{ Members []harness.Member }
	Expect(json.Unmarshal([]byte(out), &list)).To(Succeed())
	slices.SortFunc(list.Members, func(a, b harness.Member) int { return strings.Compare(a.Name, b.Name) })
	for i := range list.Members {
		list.Members[i].ID = 0 // a hash of peer addresses and time
	}
	b, err := yaml.Marshal(list.Members)
	Expect(err).NotTo(HaveOccurred())
	return string(b)
}
