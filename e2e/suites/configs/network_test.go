package configs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// settle bounds what a cluster does just after its create.
const settle = time.Minute

// podRanges are each node's ranges of pod addresses. The controller manager
// gives them, which a create without a pod network does not wait for.
func (c *made) podRanges(ctx SpecContext) map[string][]netip.Prefix {
	GinkgoHelper()
	ranges := map[string][]netip.Prefix{}
	Eventually(ctx, func(g Gomega, ctx context.Context) {
		list, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		clear(ranges)
		for _, n := range list.Items {
			g.Expect(n.Spec.PodCIDRs).NotTo(BeEmpty(), n.Name)
			for _, text := range n.Spec.PodCIDRs {
				ranges[n.Name] = append(ranges[n.Name], netip.MustParsePrefix(text))
			}
		}
	}).WithTimeout(settle).Should(Succeed())
	return ranges
}

// podSubnets checks that every node's ranges are out of these, one each.
func podSubnets(want ...string) check {
	return check{fmt.Sprintf("pods in %v", want), func(ctx SpecContext, c *made) {
		for node, ranges := range c.podRanges(ctx) {
			Expect(ranges).To(HaveLen(len(want)), node)
			for i, r := range ranges {
				Expect(within(r.Addr(), want[i])).To(BeTrue(), "%s of %s in %s", r, node, want[i])
			}
		}
	}}
}

func podRangeBits(want int) check {
	return check{fmt.Sprintf("/%d of pods per node", want), func(ctx SpecContext, c *made) {
		for node, ranges := range c.podRanges(ctx) {
			Expect(ranges[0].Bits()).To(Equal(want), node)
		}
	}}
}

// serviceSubnets checks the ranges that Services get addresses of, and that of
// the API's own Service, which an API server makes once it runs.
func serviceSubnets(want ...string) check {
	return check{fmt.Sprintf("Services in %v", want), func(ctx SpecContext, c *made) {
		Expect(c.flags(ctx, "control-plane-1", "kube-apiserver")).
			To(HaveKeyWithValue("service-cluster-ip-range", strings.Join(want, ",")))
		var s *corev1.Service
		Eventually(ctx, func(ctx context.Context) (err error) {
			s, err = c.Client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
			return err
		}).WithTimeout(settle).Should(Succeed())
		Expect(within(netip.MustParseAddr(s.Spec.ClusterIP), want[0])).To(BeTrue(), s.Spec.ClusterIP)
	}}
}

func within(addr netip.Addr, prefix string) bool { return netip.MustParsePrefix(prefix).Contains(addr) }

// dnsSearch checks a node's search list; none for no list at all.
func dnsSearch(node string, want ...string) check {
	return check{fmt.Sprintf("%s searches %v", node, want), func(ctx SpecContext, c *made) {
		Expect(searchList(c.MustExec(ctx, c.node(node), "cat", "/etc/resolv.conf"))).To(Equal(want))
	}}
}

// searchList is the last search list of a resolv.conf, which is the one that
// counts.
func searchList(resolvConf string) []string {
	var list []string
	for line := range strings.Lines(resolvConf) {
		if f := strings.Fields(line); len(f) > 0 && (f[0] == "search" || f[0] == "domain") {
			list = f[1:]
		}
	}
	return list
}

// server checks where the host reaches the API: an address, and a port unless
// that is "".
func server(addr, port string) check {
	return check{fmt.Sprintf("the API is at %s %s", addr, port), func(_ SpecContext, c *made) {
		u, err := url.Parse(c.Summary.Server)
		Expect(err).NotTo(HaveOccurred())
		Expect(u.Hostname()).To(Equal(addr))
		if port != "" {
			Expect(u.Port()).To(Equal(port))
		}
		Expect(c.Config.Host).To(Equal(c.Summary.Server), "the kubeconfig's")
	}}
}

// publishes checks that a port of a node, or of "lb", is one of the host's, any
// but 0 where port is "", and that the host listens there.
func publishes(node, inNode, addr, port string) check {
	return check{fmt.Sprintf("%s of %s is %s of the host", inNode, node, net.JoinHostPort(addr, port)), func(ctx SpecContext, c *made) {
		found, err := engine(ctx).Inspect(ctx, c.node(node))
		Expect(err).NotTo(HaveOccurred())
		at := found.Ports[inNode]
		got, ok := strings.CutPrefix(at, addr+":")
		Expect(ok).To(BeTrue(), "%s is at %q", inNode, at)
		if port != "" {
			Expect(got).To(Equal(port))
		}
		Expect(got).NotTo(BeElementOf("", "0"))
		if _, protocol, _ := strings.Cut(inNode, "/"); protocol != "sctp" {
			Expect(listens(ctx, protocol, net.JoinHostPort(addr, got))).To(BeTrue(), "%s %s", protocol, at)
		}
	}}
}

// listens says whether a port of the host is in use.
func listens(ctx context.Context, network, address string) (bool, error) {
	err := bind(ctx, network, address)
	if err == nil || errors.Is(err, syscall.EADDRINUSE) {
		return err != nil, nil
	}
	return false, err
}
