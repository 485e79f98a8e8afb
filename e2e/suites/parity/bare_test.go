package parity_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// bareNode is a machine made as kluster makes one, from the same image, without
// anything of kluster's bootstrap: no certificates, no kubeadm, no kubelet.
type bareNode struct {
	Name string
	Role nodespec.Role
	Addr netip.Addr
	// Cluster and Network it belongs to.
	Cluster, Network string
	// APIServers are where its node-local proxy looks for an API.
	APIServers []string
}

// auditPolicy is a file that kube-apiserver is told to read.
const auditPolicy = "/etc/kluster/apiserver/audit-policy.yaml"

// boot makes the node like the given one of kluster's, starts it, and waits
// until systemd and the container runtime are up. The node carries its
// cluster's label, and goes when that is deleted.
func (n bareNode) boot(ctx context.Context, e *harness.Engine, p provider.Provider, like string) {
	GinkgoHelper()
	file := n.file(ctx, e, like)
	made, err := p.CreateNode(ctx, n.spec(ctx, e, like, file.APIHost))
	Expect(err).NotTo(HaveOccurred())
	data, err := json.Marshal(file)
	Expect(err).NotTo(HaveOccurred())
	Expect(p.CopyTo(ctx, made.ID, "/etc", oneFile("kluster/node.json", data))).To(Succeed())
	Expect(p.StartNode(ctx, made.ID)).To(Succeed())
	Eventually(ctx, func(ctx context.Context) error {
		r, err := p.CopyFrom(ctx, made.ID, nodespec.BootedFile)
		if err != nil {
			return err
		}
		return r.Close()
	}).WithTimeout(time.Minute).Should(Succeed(), "%s boots", n.Name)
	if n.Role == nodespec.RoleControlPlane {
		// The cluster's configuration names it, as a user's may name files.
		policy := sh(ctx, e, like, "cat "+auditPolicy)
		write(ctx, p, n.Name, path.Dir(path.Dir(auditPolicy)), "apiserver/audit-policy.yaml", []byte(policy))
	}
}

// spec is the machine: what kluster gave the other one, but for name, address
// and files.
func (n bareNode) spec(ctx context.Context, e *harness.Engine, like, apiHost string) provider.NodeSpec {
	GinkgoHelper()
	other, err := e.API.ContainerInspect(ctx, like)
	Expect(err).NotTo(HaveOccurred())
	spec := provider.NodeSpec{
		Name: n.Name, Image: other.Config.Image, Network: n.Network, Addrs: []netip.Addr{n.Addr}, System: true,
		Labels: map[string]string{nodespec.LabelCluster: n.Cluster, nodespec.LabelRole: string(n.Role)},
		Hosts:  map[string]netip.Addr{apiHost: netip.MustParseAddr("127.0.0.1")},
		Tmpfs:  slices.Sorted(maps.Keys(other.HostConfig.Tmpfs)),
		Env:    map[string]string{},
	}
	for _, m := range other.Mounts {
		if m.Type == "volume" {
			spec.Volumes = append(spec.Volumes, m.Destination)
		}
	}
	for _, kv := range other.Config.Env {
		if k, v, _ := strings.Cut(kv, "="); strings.HasSuffix(strings.ToLower(k), "_proxy") {
			spec.Env[k] = v
		}
	}
	return spec
}

// file is what the node is told at its start.
func (n bareNode) file(ctx context.Context, e *harness.Engine, like string) nodespec.Node {
	GinkgoHelper()
	var told nodespec.Node
	Expect(json.Unmarshal([]byte(sh(ctx, e, like, "cat "+nodespec.NodeFile)), &told)).To(Succeed())
	told.Cluster, told.Name, told.Role, told.Addrs = n.Cluster, n.Name, n.Role, []netip.Addr{n.Addr}
	told.APIHost, told.APIServers = n.Cluster+"-api", n.APIServers
	return told
}

// sh runs a shell command in a node and returns its stdout; it fails the spec
// when the command does.
func sh(ctx context.Context, e *harness.Engine, node, script string) string {
	GinkgoHelper()
	r, err := e.Exec(ctx, node, "sh", "-c", script)
	Expect(err).NotTo(HaveOccurred())
	Expect(r.Code).To(Equal(0), r.String())
	return r.Stdout
}

// write puts a file of root's own into a node's folder.
func write(ctx context.Context, p provider.Provider, node, dir, name string, data []byte) {
	GinkgoHelper()
	list, err := p.Nodes(ctx, provider.Selector{nodespec.LabelCluster: ""})
	Expect(err).NotTo(HaveOccurred())
	i := slices.IndexFunc(list, func(n provider.Node) bool { return n.Name == node })
	Expect(i).NotTo(Equal(-1), "no node %s", node)
	Expect(p.CopyTo(ctx, list[i].ID, dir, oneFile(name, data))).To(Succeed())
}

// oneFile is a tar stream of one file, mode 0600, and its folders.
func oneFile(name string, data []byte) *bytes.Reader {
	GinkgoHelper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	dir, _, nested := strings.Cut(name, "/")
	var err error
	if nested {
		err = w.WriteHeader(&tar.Header{Name: dir + "/", Mode: 0o755, Typeflag: tar.TypeDir})
	}
	err = errors.Join(err, w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data))}))
	_, werr := w.Write(data)
	Expect(errors.Join(err, werr, w.Close())).To(Succeed())
	return bytes.NewReader(buf.Bytes())
}
