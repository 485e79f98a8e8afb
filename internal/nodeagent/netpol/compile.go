package netpol

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// World is what there is in a cluster when its policies are compiled for a node.
type World struct {
	// Node is the node's name.
	Node       string
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	Policies   []*networkingv1.NetworkPolicy
}

// Plan is what a node must do to hold the policies of its pods.
type Plan struct {
	// Ingress and Egress have an entry for each address of the node's isolated
	// pods: the name of the group whose rules say what it may be reached by, or reach.
	Ingress, Egress map[netip.Addr]string
	Groups          map[string]Group
	// Peers are sets of pods' addresses, Ports sets of addresses and ports.
	Peers map[string][]netip.Addr
	Ports map[string][]netip.AddrPort
	// Faults are parts of policies that cannot be understood; they allow nothing.
	Faults []string
}

// Group is the pods that the same policies select in one direction.
type Group struct {
	Direction networkingv1.PolicyType
	Policies  []string // namespace/name
	// Allow is what they may do; all else is dropped.
	Allow []Rule
}

// Rule allows packets for which all holds that is not zero.
type Rule struct {
	// Peers names a set of the other side's addresses.
	Peers string
	// Block is the other side's range, without Except.
	Block  netip.Prefix
	Except []netip.Prefix
	// Protocol of the packet, and the ranges of its destination port.
	Protocol corev1.Protocol
	Ports    []PortRange
	// Named names a set of destination addresses and ports.
	Named string
}

// PortRange is from First to Last, both included.
type PortRange struct{ First, Last uint16 }

// Compile says what the world's policies mean for the node's pods. It follows
// the text of the API (networking.k8s.io/v1): a pod that a policy selects is
// isolated in the policy's directions, and what any of its policies allows is
// allowed. Pods with the node's network are no part of it, on either side.
func Compile(w World) Plan {
	c := &compiler{
		plan: Plan{
			Ingress: map[netip.Addr]string{}, Egress: map[netip.Addr]string{},
			Groups: map[string]Group{}, Peers: map[string][]netip.Addr{}, Ports: map[string][]netip.AddrPort{},
		},
		namespaces: map[string]labels.Set{}, rules: map[ruleKey][]Rule{},
	}
	for _, ns := range w.Namespaces {
		c.namespaces[ns.Name] = ns.Labels
	}
	for _, p := range w.Pods {
		if addrs := addresses(p); len(addrs) > 0 {
			c.pods = append(c.pods, pod{Pod: p, addrs: addrs})
		}
	}
	c.readPolicies(w.Policies)
	for _, p := range c.pods {
		if p.Spec.NodeName != w.Node {
			continue
		}
		c.isolate(p, networkingv1.PolicyTypeIngress, c.plan.Ingress)
		c.isolate(p, networkingv1.PolicyTypeEgress, c.plan.Egress)
	}
	slices.Sort(c.plan.Faults)
	return c.plan
}

type compiler struct {
	plan       Plan
	pods       []pod
	namespaces map[string]labels.Set
	policies   []policy
	rules      map[ruleKey][]Rule
}

type pod struct {
	*corev1.Pod
	addrs []netip.Addr
}

type policy struct {
	*networkingv1.NetworkPolicy
	selects labels.Selector
}

func (p policy) key() string { return p.Namespace + "/" + p.Name }

type ruleKey struct {
	policy    string
	direction networkingv1.PolicyType
}

// addresses of a pod on the pod network that can have traffic, in a fixed order.
// Those of pods that have ended may be another's by now.
func addresses(p *corev1.Pod) []netip.Addr {
	if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return nil
	}
	var addrs []netip.Addr
	for _, ip := range p.Status.PodIPs {
		if addr, err := netip.ParseAddr(ip.IP); err == nil {
			addrs = append(addrs, addr.Unmap())
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

func (c *compiler) fault(format string, args ...any) {
	c.plan.Faults = append(c.plan.Faults, fmt.Sprintf(format, args...))
}

// readPolicies keeps the policies in the order of their names.
func (c *compiler) readPolicies(all []*networkingv1.NetworkPolicy) {
	for _, p := range all {
		selects, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil {
			// Nobody knows which pods it means; the API takes no such policy.
			c.fault("policy %s/%s: podSelector: %v", p.Namespace, p.Name, err)
			continue
		}
		c.policies = append(c.policies, policy{p, selects})
	}
	slices.SortFunc(c.policies, func(a, b policy) int { return strings.Compare(a.key(), b.key()) })
}

// applies says whether a policy has a say in a direction. Without types it is
// about what comes in, and about what goes out if it has rules for that.
func applies(p *networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	if len(p.Spec.PolicyTypes) > 0 {
		return slices.Contains(p.Spec.PolicyTypes, direction)
	}
	return direction == networkingv1.PolicyTypeIngress || len(p.Spec.Egress) > 0
}

// isolate puts a pod into the group of the policies that select it.
func (c *compiler) isolate(p pod, direction networkingv1.PolicyType, into map[netip.Addr]string) {
	var by []policy
	for _, policy := range c.policies {
		if policy.Namespace == p.Namespace && applies(policy.NetworkPolicy, direction) && policy.selects.Matches(labels.Set(p.Labels)) {
			by = append(by, policy)
		}
	}
	if len(by) == 0 {
		return
	}
	group := c.group(by, direction)
	for _, addr := range p.addrs {
		into[addr] = group
	}
}

// group finds or makes the group of some policies.
func (c *compiler) group(by []policy, direction networkingv1.PolicyType) string {
	g := Group{Direction: direction}
	for _, p := range by {
		g.Policies = append(g.Policies, p.key())
	}
	name := name(strings.ToLower(string(direction)), g.Policies...)
	if _, known := c.plan.Groups[name]; known {
		return name
	}
	for _, p := range by {
		g.Allow = append(g.Allow, c.rulesOf(p, direction)...)
	}
	c.plan.Groups[name] = g
	return name
}

// name is a kind and a digest of what it is made of; nftables' names are short.
func name(kind string, of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(of, "\n")))
	return kind + "-" + hex.EncodeToString(sum[:6])
}

func (c *compiler) rulesOf(p policy, direction networkingv1.PolicyType) []Rule {
	key := ruleKey{p.key(), direction}
	rules, known := c.rules[key]
	if known {
		return rules
	}
	if direction == networkingv1.PolicyTypeIngress {
		for _, r := range p.Spec.Ingress {
			rules = append(rules, c.allow(p, r.From, r.Ports)...)
		}
	} else {
		for _, r := range p.Spec.Egress {
			rules = append(rules, c.allow(p, r.To, r.Ports)...)
		}
	}
	c.rules[key] = rules
	return rules
}

// allow combines each peer with each port. No peers are all peers, and so with
// ports; peers that cannot be understood are none.
func (c *compiler) allow(p policy, from []networkingv1.NetworkPolicyPeer, to []networkingv1.NetworkPolicyPort) []Rule {
	peers := []Rule{{}}
	if len(from) > 0 {
		peers = c.peers(p, from)
	}
	ports := []Rule{{}}
	if len(to) > 0 {
		ports = c.ports(p, to)
	}
	var rules []Rule
	for _, peer := range peers {
		for _, port := range ports {
			peer.Protocol, peer.Ports, peer.Named = port.Protocol, port.Ports, port.Named
			rules = append(rules, peer)
		}
	}
	return rules
}

func (c *compiler) peers(p policy, peers []networkingv1.NetworkPolicyPeer) []Rule {
	var rules []Rule
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if rule, ok := c.block(p, peer.IPBlock); ok {
				rules = append(rules, rule)
			}
			continue
		}
		set, err := c.peerSet(p.Namespace, peer)
		if err != nil {
			c.fault("policy %s: %v", p.key(), err)
			continue
		}
		rules = append(rules, Rule{Peers: set})
	}
	return rules
}

func (c *compiler) block(p policy, b *networkingv1.IPBlock) (Rule, bool) {
	block, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		c.fault("policy %s: ipBlock: %v", p.key(), err)
		return Rule{}, false
	}
	rule := Rule{Block: block.Masked()}
	for _, text := range b.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil {
			c.fault("policy %s: ipBlock: except: %v", p.key(), err)
			return Rule{}, false // what it excepts is unknown
		}
		switch {
		case except.Bits() <= block.Bits() && except.Contains(block.Addr()):
			return Rule{}, false // nothing is left
		case except.Addr().BitLen() == block.Addr().BitLen():
			rule.Except = append(rule.Except, except.Masked())
		}
	}
	return rule, true
}

// peerSet finds or makes the set of the pods that a peer's selectors choose: of
// the policy's own namespace unless it selects others.
func (c *compiler) peerSet(namespace string, peer networkingv1.NetworkPolicyPeer) (string, error) {
	inNamespace := func(ns string) bool { return ns == namespace }
	scope := "in " + namespace
	if peer.NamespaceSelector != nil {
		selector, err := metav1.LabelSelectorAsSelector(peer.NamespaceSelector)
		if err != nil {
			return "", fmt.Errorf("namespaceSelector: %w", err)
		}
		scope = "of " + selector.String()
		inNamespace = func(ns string) bool {
			labels, known := c.namespaces[ns]
			return known && selector.Matches(labels)
		}
	}
	selector := labels.Everything()
	if peer.PodSelector != nil {
		var err error
		if selector, err = metav1.LabelSelectorAsSelector(peer.PodSelector); err != nil {
			return "", fmt.Errorf("podSelector: %w", err)
		}
	}
	set := name("pods", scope, selector.String())
	if _, known := c.plan.Peers[set]; known {
		return set, nil
	}
	addrs := []netip.Addr{}
	for _, p := range c.pods {
		if inNamespace(p.Namespace) && selector.Matches(labels.Set(p.Labels)) {
			addrs = append(addrs, p.addrs...)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	c.plan.Peers[set] = slices.Compact(addrs)
	return set, nil
}

// ports are rules without peers: one for the numbers of each protocol, for each
// protocol without a number, and for each name.
func (c *compiler) ports(p policy, ports []networkingv1.NetworkPolicyPort) []Rule {
	numbers := map[corev1.Protocol][]PortRange{}
	var rules []Rule
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		switch {
		case !slices.Contains(protocols, protocol):
			c.fault("policy %s: protocol %q", p.key(), protocol)
		case port.Port == nil:
			rules = append(rules, Rule{Protocol: protocol})
		case port.Port.StrVal != "":
			rules = append(rules, Rule{Protocol: protocol, Named: c.portSet(protocol, port.Port.StrVal)})
		default:
			last := port.Port.IntVal
			if port.EndPort != nil {
				last = *port.EndPort
			}
			if first := port.Port.IntVal; first < 1 || last < first || last > 65535 {
				c.fault("policy %s: ports %d to %d", p.key(), first, last)
				continue
			}
			numbers[protocol] = append(numbers[protocol], PortRange{uint16(port.Port.IntVal), uint16(last)})
		}
	}
	for _, protocol := range protocols {
		if r := numbers[protocol]; len(r) > 0 {
			rules = append(rules, Rule{Protocol: protocol, Ports: merge(r)})
		}
	}
	return rules
}

// protocols are those that the API knows.
var protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

// merge sorts ranges and joins those that touch; nft refuses ones that overlap.
func merge(ranges []PortRange) []PortRange {
	slices.SortFunc(ranges, func(a, b PortRange) int { return int(a.First) - int(b.First) })
	merged := ranges[:1]
	for _, r := range ranges[1:] {
		end := &merged[len(merged)-1]
		if int(r.First) <= int(end.Last)+1 {
			end.Last = max(end.Last, r.Last)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// portSet finds or makes the set of the places where pods' ports of a name are. It
// is the same in both directions: the destination of a packet is what has the port.
func (c *compiler) portSet(protocol corev1.Protocol, port string) string {
	set := strings.ToLower(string(protocol)) + "-" + port
	if _, known := c.plan.Ports[set]; known {
		return set
	}
	places := []netip.AddrPort{}
	for _, p := range c.pods {
		for _, number := range numbers(p.Pod, protocol, port) {
			for _, addr := range p.addrs {
				places = append(places, netip.AddrPortFrom(addr, number))
			}
		}
	}
	slices.SortFunc(places, netip.AddrPort.Compare)
	c.plan.Ports[set] = slices.Compact(places)
	return set
}

// numbers are those of a pod's ports with a name. A container of the pod's start
// that goes on running has ports, too.
func numbers(p *corev1.Pod, protocol corev1.Protocol, port string) []uint16 {
	var found []uint16
	for _, containers := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for _, c := range containers {
			for _, have := range c.Ports {
				is := have.Protocol
				if is == "" {
					is = corev1.ProtocolTCP
				}
				if have.Name == port && is == protocol && have.ContainerPort > 0 && have.ContainerPort <= 65535 {
					found = append(found, uint16(have.ContainerPort))
				}
			}
		}
	}
	return found
}
