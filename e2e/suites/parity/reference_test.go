package parity_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/docker/docker/api/types/network"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// configFile is kubeadm's configuration in kluster's control planes.
const configFile = "/etc/kluster/kubeadm.yaml"

// ignored are the preflight errors that come from running in a container.
const ignored = "--ignore-preflight-errors=all"

// reference makes a cluster the plain way: kubeadm init in a bare node, kubeadm
// join in the others, one after the other. It has the configuration and the
// nodes of kluster's.
func reference(ctx context.Context, e *harness.Engine, p provider.Provider) clusterUnderTest {
	GinkgoHelper()
	ref := clusterUnderTest{name: harness.Name("ref")}
	DeferCleanup(c.Kluster.Delete, ref.name)
	subnet := makeNetwork(ctx, e, p, ref.name)
	addr := subnet.Masked().Addr().Next()
	for _, n := range underTest(ctx, e).nodes {
		addr = addr.Next()
		ref.nodes = append(ref.nodes, bareNode{
			Name: ref.name + strings.TrimPrefix(n.Name, c.Name), Role: n.Role, Addr: addr, Cluster: ref.name, Network: ref.name,
		})
	}
	for _, n := range ref.nodes {
		n.APIServers = ref.apiServers()
		n.boot(ctx, e, p, c.Name+"-control-plane-1")
	}
	first := ref.nodes[0]
	write(ctx, p, first.Name, "/root", "init.yaml", []byte(ref.translate(ctx, e, sh(ctx, e, c.Name+"-control-plane-1", "cat "+configFile))))
	sh(ctx, e, first.Name, "kubeadm init --config /root/init.yaml --upload-certs "+ignored)
	for _, n := range ref.nodes[1:] {
		join(ctx, e, p, first.Name, n)
	}
	return ref
}

// makeNetwork makes a network whose addresses can be chosen, in a subnet that
// the engine picks.
func makeNetwork(ctx context.Context, e *harness.Engine, p provider.Provider, name string) netip.Prefix {
	GinkgoHelper()
	probe, err := e.API.NetworkCreate(ctx, name+"-probe", network.CreateOptions{Driver: "bridge"})
	Expect(err).NotTo(HaveOccurred())
	found, err := e.API.NetworkInspect(ctx, probe.ID, network.InspectOptions{})
	Expect(e.API.NetworkRemove(ctx, probe.ID)).To(Succeed())
	Expect(err).NotTo(HaveOccurred())
	subnet := netip.MustParsePrefix(found.IPAM.Config[0].Subnet)
	_, err = p.CreateNetwork(ctx, provider.NetworkSpec{
		Name: name, Labels: map[string]string{nodespec.LabelCluster: name}, Subnets: []netip.Prefix{subnet},
	})
	Expect(err).NotTo(HaveOccurred())
	return subnet
}

// translate puts this cluster's name and addresses into text about kluster's.
func (r clusterUnderTest) translate(ctx context.Context, e *harness.Engine, text string) string {
	for i, n := range underTest(ctx, e).nodes {
		text = replaceWord(text, n.Addr.String(), r.nodes[i].Addr.String())
	}
	return strings.ReplaceAll(text, c.Name, r.name)
}

// apiServers are where the control planes' APIs will be.
func (r clusterUnderTest) apiServers() []string {
	var all []string
	for _, n := range r.nodes {
		if n.Role == nodespec.RoleControlPlane {
			all = append(all, netip.AddrPortFrom(n.Addr, nodespec.APIServerPort).String())
		}
	}
	return all
}

// join joins a bare node with what a user would take: a new token and, for a
// control plane, uploaded certificates.
func join(ctx context.Context, e *harness.Engine, p provider.Provider, via string, n bareNode) {
	GinkgoHelper()
	words := strings.Fields(sh(ctx, e, via, "kubeadm token create --print-join-command"))
	conf := map[string]any{
		"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "JoinConfiguration",
		"discovery": map[string]any{"bootstrapToken": map[string]any{
			"apiServerEndpoint": words[2],
			"token":             after(words, "--token"), "caCertHashes": []any{after(words, "--discovery-token-ca-cert-hash")},
		}},
		"nodeRegistration": registration(n),
	}
	if n.Role == nodespec.RoleControlPlane {
		conf["controlPlane"] = map[string]any{
			"certificateKey":   uploadCerts(ctx, e, via),
			"localAPIEndpoint": map[string]any{"advertiseAddress": n.Addr.String(), "bindPort": nodespec.APIServerPort},
		}
	}
	data, err := yaml.Marshal(conf)
	Expect(err).NotTo(HaveOccurred())
	write(ctx, p, n.Name, "/root", "join.yaml", data)
	began := time.Now()
	sh(ctx, e, n.Name, "kubeadm join --config /root/join.yaml "+ignored)
	AddReportEntry("kubeadm join "+string(n.Role), time.Since(began).Round(100*time.Millisecond).String())
}

// registration is what kluster gives its nodes: the address, and kubeadm's own
// taint on control planes.
func registration(n bareNode) map[string]any {
	reg := map[string]any{
		"name": n.Name, "criSocket": "unix:///run/containerd/containerd.sock",
		"kubeletExtraArgs": []any{map[string]any{"name": "node-ip", "value": n.Addr.String()}},
	}
	if n.Role == nodespec.RoleWorker {
		reg["taints"] = []any{}
	}
	return reg
}

// uploadCerts puts the control plane's keys, encrypted, into a Secret and
// returns the key to them.
func uploadCerts(ctx context.Context, e *harness.Engine, via string) string {
	GinkgoHelper()
	out := strings.Fields(sh(ctx, e, via, "kubeadm init phase upload-certs --upload-certs"))
	Expect(out).NotTo(BeEmpty())
	return out[len(out)-1]
}

// after is the word that follows flag.
func after(words []string, flag string) string {
	GinkgoHelper()
	for i, w := range words[:len(words)-1] {
		if w == flag {
			return words[i+1]
		}
	}
	Fail(fmt.Sprintf("no %s in %q", flag, words))
	return ""
}
