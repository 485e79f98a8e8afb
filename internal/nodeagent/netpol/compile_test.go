package netpol

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

func ns(name string, labels ...string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: pairs(labels)}}
}

// pairs makes a map of "k=v" words.
func pairs(words []string) map[string]string {
	m := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		m[k] = v
	}
	return m
}

// podOf makes a pod that runs, with two named ports.
func podOf(path, node string, ips []string, labels ...string) *corev1.Pod {
	namespace, name, _ := strings.Cut(path, "/")
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: pairs(labels)},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
			{Name: "web", ContainerPort: 80}, {Name: "dns", Protocol: corev1.ProtocolUDP, ContainerPort: 53},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for _, ip := range ips {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	return p
}

func ips(words ...string) []string { return words }

// town is three namespaces with pods on two nodes, of which "here" is compiled for.
func town() World {
	host := podOf("x/host", "here", ips("172.18.0.2"), "app=web")
	host.Spec.HostNetwork = true
	ended := podOf("x/ended", "here", ips("10.244.0.4"), "app=web")
	ended.Status.Phase = corev1.PodSucceeded
	other := podOf("y/web", "there", ips("10.244.1.3", "fd00:1::3"), "app=web")
	other.Spec.Containers[0].Ports[0].ContainerPort = 8080
	return World{
		Node:       "here",
		Namespaces: []*corev1.Namespace{ns("x", "team=red"), ns("y", "team=blue"), ns("z")},
		Pods: []*corev1.Pod{
			podOf("x/web", "here", ips("10.244.0.2", "fd00::2"), "app=web"),
			podOf("x/db", "here", ips("10.244.0.3", "fd00::3"), "app=db"),
			podOf("x/far", "there", ips("10.244.1.2", "fd00:1::2"), "app=far"),
			other,
			podOf("z/web", "here", ips("10.244.0.5", "fd00::5"), "app=web"),
			podOf("z/new", "here", nil, "app=web"),
			host, ended,
			podOf("z/heir", "there", ips("10.244.0.4"), "app=heir"),
		},
	}
}

var places = map[string]string{
	"x/web": "10.244.0.2", "x/db": "10.244.0.3", "x/far": "10.244.1.2", "y/web": "10.244.1.3", "z/web": "10.244.0.5",
	"z/heir": "10.244.0.4", "node": "172.18.0.2", "world": "192.0.2.7",
	"x/web6": "fd00::2", "x/db6": "fd00::3", "x/far6": "fd00:1::2", "y/web6": "fd00:1::3", "z/web6": "fd00::5", "world6": "2001:db8::7",
}

// flow reads "y/web > x/web tcp 80".
func flow(t *testing.T, text string) packet {
	t.Helper()
	var from, to, protocol string
	var p packet
	if _, err := fmt.Sscanf(text, "%s > %s %s %d", &from, &to, &protocol, &p.port); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	p.from, p.to = netip.MustParseAddr(places[from]), netip.MustParseAddr(places[to])
	p.protocol = corev1.Protocol(strings.ToUpper(protocol))
	return p
}

func policies(t *testing.T, text string) []*networkingv1.NetworkPolicy {
	t.Helper()
	var all []*networkingv1.NetworkPolicy
	for i, document := range strings.Split(text, "---\n") {
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: fmt.Sprint("p", i)}}
		if err := yaml.UnmarshalStrict([]byte(document), &p.Spec); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// Each case is policies of namespace x, and what they let pass and what not.
var cases = []struct {
	name, policies string
	pass, drop     []string
}{{
	"a policy without rules isolates for what comes in", `podSelector: {matchLabels: {app: web}}`,
	[]string{"x/web > x/db tcp 80", "x/web > world tcp 80", "world > x/db tcp 1", "y/web > z/web tcp 80", "x/web > x/web tcp 80"},
	[]string{"x/db > x/web tcp 80", "world > x/web tcp 80", "node > x/web tcp 80", "world6 > x/web6 udp 1", "y/web > x/web sctp 80"},
}, {
	"types say the directions", `{podSelector: {}, policyTypes: [Egress]}`,
	[]string{"y/web > x/web tcp 80", "world > x/db tcp 1", "x/far > y/web tcp 80"}, // x/far is not of this node
	[]string{"x/web > x/db tcp 80", "x/db > world tcp 80", "x/web6 > world6 tcp 80", "x/web > node tcp 6443"},
}, {
	"rules for what goes out isolate for it without types, too", `{podSelector: {matchLabels: {app: web}}, egress: [{ports: [{protocol: UDP, port: 53}]}]}`,
	[]string{"x/web > y/web udp 53", "x/web6 > world6 udp 53"},
	[]string{"x/web > y/web tcp 53", "x/web > y/web udp 54", "x/db > x/web tcp 80"},
}, {
	"an empty rule allows all", `{podSelector: {}, ingress: [{}], egress: [{}], policyTypes: [Ingress, Egress]}`,
	[]string{"x/web > world tcp 80", "world > x/web sctp 80", "y/web6 > x/web6 udp 1"},
	nil,
}, {
	"a pod selector alone is of the policy's namespace", `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`,
	[]string{"x/web > x/db tcp 80", "x/web6 > x/db6 udp 5"},
	[]string{"y/web > x/db tcp 80", "z/web > x/db tcp 80", "x/far > x/db tcp 80", "node > x/db tcp 80"},
}, {
	"a namespace selector alone is of all pods there", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}]}]}`,
	[]string{"y/web > x/db tcp 80"},
	[]string{"x/web > x/db tcp 80", "z/web > x/db tcp 80", "world > x/db tcp 80"},
}, {
	"both in one peer must both match", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}, podSelector: {matchLabels: {app: web}}}]}]}`,
	[]string{"y/web > x/db tcp 80", "x/web > x/db tcp 80"},
	[]string{"x/far > x/db tcp 80", "z/web > x/db tcp 80"},
}, {
	"in two peers either may", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {app: far}}}]}]}`,
	[]string{"y/web > x/db tcp 80", "x/far > x/db tcp 80"},
	[]string{"x/web > x/db tcp 80", "z/heir > x/db tcp 80"},
}, {
	"empty selectors are everybody, but not who is no pod", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}`,
	[]string{"x/web > x/db tcp 80", "z/heir > x/db tcp 80", "y/web6 > x/db6 sctp 9"},
	[]string{"world > x/db tcp 80", "node > x/db tcp 80"},
}, {
	"blocks with exceptions", `{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.244.0.0/16, except: [10.244.1.0/24, 10.244.1.2/32]}}, {ipBlock: {cidr: "fd00::/16"}}]}], policyTypes: [Egress]}`,
	[]string{"x/web > x/db tcp 80", "x/web > z/web udp 80", "x/web6 > y/web6 tcp 80"},
	[]string{"x/web > y/web tcp 80", "x/web > x/far tcp 80", "x/web > world tcp 80", "x/web6 > world6 tcp 80"},
}, {
	"all addresses of one family", `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [192.0.2.0/24]}}]}]}`,
	[]string{"y/web > x/db tcp 80", "node > x/db tcp 80"},
	[]string{"world > x/db tcp 80", "y/web6 > x/db6 tcp 80"},
}, {
	"an exception in one block does not bind another", `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.0.0/8, except: [192.0.2.7/32]}}, {ipBlock: {cidr: 192.0.2.7/32}}]}]}`,
	[]string{"world > x/db tcp 80"},
	[]string{"node > x/db tcp 80"},
}, {
	"ports by number, range and protocol", `{podSelector: {}, ingress: [{ports: [{port: 80}, {port: 90, endPort: 99}, {port: 95, endPort: 120}, {protocol: UDP, port: 53}, {protocol: SCTP}]}]}`,
	[]string{"y/web > x/db tcp 80", "world > x/db tcp 90", "world > x/db tcp 110", "world6 > x/db6 tcp 120", "world > x/db udp 53", "world > x/db sctp 7"},
	[]string{"y/web > x/db tcp 81", "y/web > x/db tcp 121", "y/web > x/db udp 80", "y/web > x/db tcp 53"},
}, {
	"a port of one peer is not another's", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}], ports: [{port: 80}]}, {from: [{podSelector: {}}], ports: [{port: 81}]}]}`,
	[]string{"y/web > x/db tcp 80", "x/web > x/db tcp 81"},
	[]string{"y/web > x/db tcp 81", "x/web > x/db tcp 80"},
}, {
	"a port's name is the destination's: coming in", `{podSelector: {}, ingress: [{ports: [{port: web}, {protocol: UDP, port: dns}, {port: none}]}]}`,
	[]string{"y/web > x/db tcp 80", "world6 > x/db6 udp 53"},
	[]string{"y/web > x/db tcp 8080", "y/web > x/db udp 80", "y/web > x/db tcp 53"},
}, {
	"a port's name is the destination's: going out", `{podSelector: {}, egress: [{to: [{namespaceSelector: {}}], ports: [{port: web}]}], policyTypes: [Egress]}`,
	[]string{"x/web > y/web tcp 8080", "x/web > z/web tcp 80", "x/web6 > y/web6 tcp 8080"},
	[]string{"x/web > y/web tcp 80", "x/web > world tcp 80", "x/web > z/web tcp 8080"},
}, {
	"policies add up", `{podSelector: {}}
---
{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}]}]}
---
{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 443}]}]}
`,
	[]string{"x/web > x/db tcp 80", "world > x/db tcp 443"},
	[]string{"world > x/db tcp 80", "world > x/web tcp 443"},
}, {
	"both sides must allow", `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}
---
{podSelector: {matchLabels: {app: db}}, ingress: [{}]}
`,
	[]string{"y/web > x/db tcp 80"},
	[]string{"x/web > x/db tcp 80"},
}, {
	"who has no address, has ended or has the node's network is not meant", `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`,
	[]string{"x/web > x/db tcp 80", "world > node tcp 80", "world > z/heir tcp 80"},
	[]string{"node > x/db tcp 80", "z/heir > x/db tcp 80"},
}}

func TestCompile(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := town()
			w.Policies = policies(t, c.policies)
			plan := Compile(w)
			if len(plan.Faults) > 0 {
				t.Errorf("faults: %q", plan.Faults)
			}
			for want, flows := range map[bool][]string{true: c.pass, false: c.drop} {
				for _, text := range flows {
					p := flow(t, text)
					if got := plan.passes(p); got != want {
						t.Errorf("%s passes: %t", text, got)
					}
					if got := naive(w, p); got != want {
						t.Errorf("%s passes, the text says: %t", text, got)
					}
				}
			}
		})
	}
}

// What cannot be understood allows nothing, and is told.
func TestCompileFaults(t *testing.T) {
	for _, spec := range []string{
		`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: nowhere}}]}]}`,
		`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [nowhere]}}]}]}`,
		`{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: Is}]}}]}]}`,
		`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: a, operator: Is}]}}]}]}`,
		`{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 79}]}]}`,
		`{podSelector: {}, ingress: [{ports: [{protocol: ICMP}]}]}`,
	} {
		w := town()
		w.Policies = policies(t, spec)
		plan := Compile(w)
		if len(plan.Faults) != 1 || !strings.Contains(plan.Faults[0], "x/p0") {
			t.Errorf("%s: faults %q", spec, plan.Faults)
		}
		if plan.passes(flow(t, "x/web > x/db tcp 80")) {
			t.Errorf("%s: passes", spec)
		}
	}
}

// Pods that the same policies select share their rules.
func TestGroups(t *testing.T) {
	w := town()
	w.Policies = policies(t, `{podSelector: {}}`)
	plan := Compile(w)
	if len(plan.Groups) != 1 || len(plan.Ingress) != 4 || len(plan.Egress) != 0 {
		t.Errorf("%d groups, %d addresses in, %d out", len(plan.Groups), len(plan.Ingress), len(plan.Egress))
	}
}

// maker makes worlds and packets of few words, so that these meet.
type maker struct{ *rand.Rand }

func pick[T any](m maker, from ...T) T { return from[m.IntN(len(from))] }

func (m maker) some(n int, make func()) {
	for range m.IntN(n + 1) {
		make()
	}
}

func (m maker) labels() map[string]string {
	l := map[string]string{}
	m.some(2, func() { l[pick(m, "a", "b")] = pick(m, "1", "2") })
	return l
}

func (m maker) selector() metav1.LabelSelector {
	s := metav1.LabelSelector{}
	switch m.IntN(4) {
	case 0:
		s.MatchLabels = m.labels()
	case 1:
		op := pick(m, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)
		e := metav1.LabelSelectorRequirement{Key: pick(m, "a", "b"), Operator: op}
		if op == metav1.LabelSelectorOpIn || op == metav1.LabelSelectorOpNotIn {
			e.Values = []string{pick(m, "1", "2")}
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
	}
	return s
}

var someAddrs = []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.1", "10.0.1.2", "192.0.2.1", "fd00::1", "fd00::2", "fd00:1::1", "2001:db8::1"}

func (m maker) world() World {
	w := World{Node: "here"}
	for _, name := range []string{"x", "y", "z"} {
		w.Namespaces = append(w.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: m.labels()}})
	}
	// No two pods have the same address, unless one has ended.
	for i, addr := range someAddrs {
		if m.IntN(4) == 0 {
			continue
		}
		p := podOf(pick(m, "x", "y", "z")+"/"+fmt.Sprint(i), pick(m, "here", "there"), ips(addr))
		p.Labels = m.labels()
		p.Spec.HostNetwork = m.IntN(8) == 0
		p.Status.Phase = pick(m, corev1.PodRunning, corev1.PodRunning, corev1.PodRunning, corev1.PodPending, corev1.PodFailed)
		p.Spec.Containers[0].Ports = nil
		m.some(2, func() {
			p.Spec.Containers[0].Ports = append(p.Spec.Containers[0].Ports, corev1.ContainerPort{
				Name: pick(m, "web", "dns"), Protocol: pick(m, "", corev1.ProtocolTCP, corev1.ProtocolUDP), ContainerPort: pick[int32](m, 79, 80, 81),
			})
		})
		w.Pods = append(w.Pods, p)
	}
	m.some(4, func() { w.Policies = append(w.Policies, m.policy(len(w.Policies))) })
	return w
}

func (m maker) policy(i int) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: pick(m, "x", "y"), Name: fmt.Sprint("p", i)}}
	p.Spec.PodSelector = m.selector()
	m.some(2, func() {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: m.peers(), Ports: m.ports()})
	})
	m.some(2, func() {
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: m.peers(), Ports: m.ports()})
	})
	m.some(2, func() {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, pick(m, networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress))
	})
	return p
}

func (m maker) peers() (peers []networkingv1.NetworkPolicyPeer) {
	m.some(2, func() {
		var p networkingv1.NetworkPolicyPeer
		pods, namespaces := m.selector(), m.selector()
		switch m.IntN(4) {
		case 0:
			p.PodSelector = &pods
		case 1:
			p.NamespaceSelector = &namespaces
		case 2:
			p.PodSelector, p.NamespaceSelector = &pods, &namespaces
		case 3:
			p.IPBlock = &networkingv1.IPBlock{CIDR: pick(m, "0.0.0.0/0", "10.0.0.0/16", "10.0.0.2/31", "::/0", "fd00::/16", "10.0.0.1/32")}
			m.some(2, func() {
				p.IPBlock.Except = append(p.IPBlock.Except, pick(m, "10.0.1.0/24", "10.0.0.2/31", "10.0.0.1/32", "fd00:1::/32", "0.0.0.0/0"))
			})
		}
		peers = append(peers, p)
	})
	return peers
}

func (m maker) ports() (ports []networkingv1.NetworkPolicyPort) {
	m.some(3, func() {
		var p networkingv1.NetworkPolicyPort
		if m.IntN(2) == 0 {
			protocol := pick(m, protocols...)
			p.Protocol = &protocol
		}
		number := intstr.FromInt32(pick[int32](m, 79, 80, 81))
		switch m.IntN(4) {
		case 0:
			number = intstr.FromString(pick(m, "web", "dns", "none"))
			p.Port = &number
		case 1:
			p.Port = &number
		case 2:
			last := number.IntVal + pick[int32](m, 0, 1, 2)
			p.Port, p.EndPort = &number, &last
		}
		ports = append(ports, p)
	})
	return ports
}

// FuzzCompile compares rules with the API's text, for every packet there can be
// in worlds that come from a seed.
func FuzzCompile(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := maker{rand.New(rand.NewPCG(seed, 0))}.world()
		plan := Compile(w)
		for _, from := range someAddrs {
			for _, to := range someAddrs {
				p := packet{from: netip.MustParseAddr(from), to: netip.MustParseAddr(to)}
				if p.from.Is4() != p.to.Is4() {
					continue
				}
				for _, p.protocol = range protocols {
					for _, p.port = range []uint16{78, 79, 80, 81, 83} {
						if got, want := plan.passes(p), naive(w, p); got != want {
							text, _ := yaml.Marshal(w)
							t.Fatalf("%+v passes: %t, want %t\n%s\n%+v", p, got, want, text, plan)
						}
					}
				}
			}
		}
	})
}

func TestMerge(t *testing.T) {
	got := merge([]PortRange{{90, 99}, {1, 1}, {95, 97}, {100, 100}, {2, 3}, {65535, 65535}, {200, 300}})
	want := []PortRange{{1, 3}, {90, 100}, {200, 300}, {65535, 65535}}
	if !slices.Equal(got, want) {
		t.Errorf("merged %v, want %v", got, want)
	}
}
