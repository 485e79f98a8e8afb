package configs_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

const (
	v4 = corev1.IPv4Protocol
	v6 = corev1.IPv6Protocol
)

// family is an address's.
func family(addr string) corev1.IPFamily {
	if netip.MustParseAddr(addr).Is6() {
		return v6
	}
	return v4
}

func families(addrs []string) []corev1.IPFamily {
	var out []corev1.IPFamily
	for _, a := range addrs {
		out = append(out, family(a))
	}
	return out
}

// addressed checks that nodes have addresses of these families, the primary one
// first.
func addressed(want ...corev1.IPFamily) check {
	return check{fmt.Sprintf("nodes have addresses of %v", want), func(ctx SpecContext, c *made) {
		for _, n := range c.Nodes(ctx) {
			var addrs []string
			for _, a := range n.Status.Addresses {
				if a.Type == corev1.NodeInternalIP {
					addrs = append(addrs, a.Address)
				}
			}
			Expect(families(addrs)).To(Equal(want), "%s: %v", n.Name, addrs)
		}
	}}
}

// carries checks that pods on every node have addresses of these families, the
// primary one first, and reach by them pods on every node, and Services.
func carries(want ...corev1.IPFamily) check {
	return check{fmt.Sprintf("pods and Services reach each other by %v", want), func(ctx SpecContext, c *made) {
		ns, nodes := c.Namespace(ctx), int32(len(c.Nodes(ctx)))
		c.Deploy(ctx, ns, harness.Deployment("web", nodes, harness.Web(c.Image(ctx, "agnhost"))))
		t := traffic{c, ns, c.Pods(ctx, ns, "web"), c.DeployEverywhere(ctx, ns, harness.DaemonSet("client", harness.Idle(c.Image(ctx, "busybox"))))}
		Expect(t.servers).To(HaveLen(int(nodes)))
		t.podsReach(ctx, want)
		t.serviceReaches(ctx, harness.Service("web", "web", corev1.ServiceTypeClusterIP), want[:1])
		if len(want) > 1 {
			both, policy := harness.Service("both", "web", corev1.ServiceTypeClusterIP), corev1.IPFamilyPolicyPreferDualStack
			both.Spec.IPFamilyPolicy = &policy
			t.serviceReaches(ctx, both, want)
		}
		for _, name := range []string{"web", "web." + ns + ".svc.cluster.local"} {
			t.everyoneHears(ctx, "http://"+name+"/hostname")
		}
	}}
}

// traffic is between web servers and clients, one of each on every node.
type traffic struct {
	c       *made
	ns      string
	servers []corev1.Pod
	clients map[string]corev1.Pod
}

func (t traffic) podsReach(ctx SpecContext, want []corev1.IPFamily) {
	GinkgoHelper()
	for _, server := range t.servers {
		addrs := podAddresses(server)
		Expect(families(addrs)).To(Equal(want), "%s: %v", server.Name, addrs)
		for _, addr := range addrs {
			url := fmt.Sprintf("http://%s/hostname", net.JoinHostPort(addr, fmt.Sprint(harness.WebPort)))
			for _, client := range t.clients {
				Eventually(ctx, func(ctx context.Context) harness.Result { return t.get(ctx, client, url) }).
					WithTimeout(settle).Should(HaveField("Stdout", server.Name), "%s from %s", url, client.Spec.NodeName)
			}
		}
	}
}

func podAddresses(p corev1.Pod) []string {
	var addrs []string
	for _, ip := range p.Status.PodIPs {
		addrs = append(addrs, ip.IP)
	}
	return addrs
}

// serviceReaches makes a Service and has it answer by an address of each family.
func (t traffic) serviceReaches(ctx SpecContext, s *corev1.Service, want []corev1.IPFamily) {
	GinkgoHelper()
	s, err := t.c.Client.CoreV1().Services(t.ns).Create(ctx, s, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	Expect(families(s.Spec.ClusterIPs)).To(Equal(want), "%v", s.Spec.ClusterIPs)
	for _, addr := range s.Spec.ClusterIPs {
		t.everyoneHears(ctx, "http://"+net.JoinHostPort(addr, "80")+"/hostname")
	}
}

// everyoneHears fetches a URL from the client on each node until every server
// has answered it.
func (t traffic) everyoneHears(ctx SpecContext, url string) {
	GinkgoHelper()
	var all []string
	for _, s := range t.servers {
		all = append(all, s.Name)
	}
	for node, client := range t.clients {
		var heard []string
		Eventually(ctx, func(ctx context.Context) []string {
			if r := t.get(ctx, client, url); r.Code == 0 && !slices.Contains(heard, r.Stdout) {
				heard = append(heard, r.Stdout)
			}
			return heard
		}).WithTimeout(settle).Should(ConsistOf(all), "%s from %s", url, node)
	}
}

func (t traffic) get(ctx context.Context, client corev1.Pod, url string) harness.Result {
	return t.c.PodExec(ctx, t.ns, client.Name, "wget", "-q", "-T", "5", "-O", "-", url)
}
