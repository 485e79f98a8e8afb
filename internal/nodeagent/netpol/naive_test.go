package netpol

import (
	"net"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// packet is the first of a connection.
type packet struct {
	from, to netip.Addr
	protocol corev1.Protocol
	port     uint16
}

// naive says what the API's text says of a packet that passes the node of w, one
// sentence after the other, without any thought of rules. It shares no code with
// the compiler.
func naive(w World, p packet) bool {
	if p.from == p.to {
		return true // "a Pod cannot block access to itself"
	}
	return naiveSide(w, p, networkingv1.PolicyTypeEgress) && naiveSide(w, p, networkingv1.PolicyTypeIngress)
}

// naivePod is the pod that has an address, nil if there is none on the pod network.
func naivePod(w World, addr netip.Addr) *corev1.Pod {
	for _, p := range w.Pods {
		if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, ip := range p.Status.PodIPs {
			if net.ParseIP(ip.IP).Equal(net.ParseIP(addr.String())) {
				return p
			}
		}
	}
	return nil
}

func naiveSide(w World, p packet, direction networkingv1.PolicyType) bool {
	own, other := p.to, p.from
	if direction == networkingv1.PolicyTypeEgress {
		own, other = p.from, p.to
	}
	subject := naivePod(w, own)
	if subject == nil || subject.Spec.NodeName != w.Node {
		return true
	}
	isolated := false
	for _, policy := range w.Policies {
		if policy.Namespace != subject.Namespace || !naiveMatch(&policy.Spec.PodSelector, subject.Labels) {
			continue
		}
		types := policy.Spec.PolicyTypes
		if len(types) == 0 {
			types = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			if len(policy.Spec.Egress) > 0 {
				types = append(types, networkingv1.PolicyTypeEgress)
			}
		}
		if !slices.Contains(types, direction) {
			continue
		}
		isolated = true
		if direction == networkingv1.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				if naivePeers(w, policy.Namespace, rule.From, other) && naivePorts(w, rule.Ports, p) {
					return true
				}
			}
		} else {
			for _, rule := range policy.Spec.Egress {
				if naivePeers(w, policy.Namespace, rule.To, other) && naivePorts(w, rule.Ports, p) {
					return true
				}
			}
		}
	}
	return !isolated
}

func naiveMatch(s *metav1.LabelSelector, of map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(of))
}

func naivePeers(w World, namespace string, peers []networkingv1.NetworkPolicyPeer, other netip.Addr) bool {
	if len(peers) == 0 {
		return true
	}
	for _, peer := range peers {
		if peer.IPBlock != nil {
			ip := net.ParseIP(other.String())
			_, block, err := net.ParseCIDR(peer.IPBlock.CIDR)
			if err != nil || !block.Contains(ip) {
				continue
			}
			excepted := false
			for _, text := range peer.IPBlock.Except {
				_, except, err := net.ParseCIDR(text)
				excepted = excepted || err != nil || except.Contains(ip)
			}
			if !excepted {
				return true
			}
			continue
		}
		pod := naivePod(w, other)
		if pod == nil {
			continue
		}
		if peer.NamespaceSelector == nil && pod.Namespace != namespace {
			continue
		}
		if peer.NamespaceSelector != nil {
			i := slices.IndexFunc(w.Namespaces, func(ns *corev1.Namespace) bool { return ns.Name == pod.Namespace })
			if i < 0 || !naiveMatch(peer.NamespaceSelector, w.Namespaces[i].Labels) {
				continue
			}
		}
		if peer.PodSelector == nil || naiveMatch(peer.PodSelector, pod.Labels) {
			return true
		}
	}
	return false
}

func naivePorts(w World, ports []networkingv1.NetworkPolicyPort, p packet) bool {
	if len(ports) == 0 {
		return true
	}
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		if protocol != p.protocol {
			continue
		}
		switch {
		case port.Port == nil:
			return true
		case port.Port.StrVal != "":
			pod := naivePod(w, p.to)
			if pod == nil {
				continue
			}
			for _, c := range pod.Spec.Containers {
				for _, have := range c.Ports {
					is := have.Protocol
					if is == "" {
						is = corev1.ProtocolTCP
					}
					if have.Name == port.Port.StrVal && is == protocol && have.ContainerPort == int32(p.port) {
						return true
					}
				}
			}
		case port.EndPort == nil && int32(p.port) == port.Port.IntVal:
			return true
		case port.EndPort != nil && int32(p.port) >= port.Port.IntVal && int32(p.port) <= *port.EndPort:
			return true
		}
	}
	return false
}

// passes says what a plan's rules do with a packet: it reads them as the kernel
// would.
func (plan Plan) passes(p packet) bool {
	if p.from == p.to {
		return true
	}
	if group, isolated := plan.Egress[p.from]; isolated && !plan.allows(group, p, p.to) {
		return false
	}
	if group, isolated := plan.Ingress[p.to]; isolated && !plan.allows(group, p, p.from) {
		return false
	}
	return true
}

func (plan Plan) allows(group string, p packet, other netip.Addr) bool {
	return slices.ContainsFunc(plan.Groups[group].Allow, func(r Rule) bool {
		if r.Peers != "" && !slices.Contains(plan.Peers[r.Peers], other) {
			return false
		}
		if r.Block.IsValid() && (!r.Block.Contains(other) || slices.ContainsFunc(r.Except, func(e netip.Prefix) bool { return e.Contains(other) })) {
			return false
		}
		if r.Protocol != "" && r.Protocol != p.protocol {
			return false
		}
		if len(r.Ports) > 0 && !slices.ContainsFunc(r.Ports, func(r PortRange) bool { return r.First <= p.port && p.port <= r.Last }) {
			return false
		}
		return r.Named == "" || slices.Contains(plan.Ports[r.Named], netip.AddrPortFrom(p.to, p.port))
	})
}
