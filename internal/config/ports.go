package config

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

var protocols = []string{"TCP", "UDP", "SCTP"}

func ports(w *wish, specs []v1alpha1.PortMapping, field string, p *problems) []PortMapping {
	var out []PortMapping
	for i, m := range specs {
		at := item(field, i)
		if m.ContainerPort < 1 || m.ContainerPort > 65535 {
			p.add(at+".containerPort", "", "must be from 1 to 65535, not %d", m.ContainerPort)
		}
		protocol := strings.ToUpper(m.Protocol)
		if protocol == "" {
			protocol = "TCP"
		}
		if !slices.Contains(protocols, protocol) {
			p.add(at+".protocol", nearestOrAll(m.Protocol, protocols), "no protocol %q", shorten(m.Protocol))
		}
		out = append(out, PortMapping{
			ContainerPort: m.ContainerPort, Protocol: protocol,
			HostPort:      hostPort(w, m.HostPort, at+".hostPort", p),
			ListenAddress: listenAddress(w, m.ListenAddress, at+".listenAddress", p),
		})
	}
	return out
}

// hostPort is 0 for a free one; a kind file says that with -1 too.
func hostPort(w *wish, port int, field string, p *problems) int {
	if w.kind && port == -1 {
		return 0
	}
	if port < 0 || port > 65535 {
		p.add(field, "leave it out for a free one", "must be from 1 to 65535, not %d", port)
	}
	return port
}

// listenAddress is the host's loopback address unless another is asked for. A
// kind file that names none asks for every address, which is kind's default.
func listenAddress(w *wish, written, field string, p *problems) string {
	if written == "" {
		defaults := map[bool]string{true: "127.0.0.1", false: "::1"}
		if w.kind {
			defaults = map[bool]string{true: "0.0.0.0", false: "::"}
		}
		return defaults[w.Networking.IPFamily != familyIPv6]
	}
	addr, err := netip.ParseAddr(written)
	if err != nil {
		p.add(field, "write it as 127.0.0.1", "%q is not an IP address", shorten(written))
		return ""
	}
	return addr.String()
}

// binding is a port of the host that the cluster takes.
type binding struct {
	field    string
	addr     string
	port     int
	protocol string
}

func (b binding) clashes(o binding) bool {
	everywhere := func(addr string) bool { return addr == "0.0.0.0" || addr == "::" }
	return b.port == o.port && b.protocol == o.protocol &&
		(b.addr == o.addr || everywhere(b.addr) || everywhere(o.addr))
}

// checkHostPorts finds ports of the host that are asked for twice.
func checkHostPorts(w *wish, c *Cluster, p *problems) {
	var taken []binding
	take := func(b binding) {
		if b.port == 0 {
			return
		}
		if i := slices.IndexFunc(taken, b.clashes); i >= 0 {
			p.add(b.field, "", "port %d/%s of the host is taken by %s already", b.port, b.protocol, taken[i].field)
			return
		}
		taken = append(taken, b)
	}
	if c.Networking.APIServerAddress.IsValid() {
		take(binding{"networking.apiServerPort", c.Networking.APIServerAddress.String(), c.Networking.APIServerPort, "TCP"})
	}
	for i, m := range c.Networking.LoadBalancerPorts {
		take(binding{w.balancerPortField(i), m.ListenAddress, m.HostPort, m.Protocol})
	}
	var quiet problems // said before, in resolveNode
	for i, spec := range w.Nodes {
		field := item("nodes", i) + ".extraPortMappings"
		for j, m := range ports(w, spec.ExtraPortMappings, field, &quiet) {
			take(binding{item(field, j) + ".hostPort", m.ListenAddress, m.HostPort, m.Protocol})
			if spec.Count != nil && *spec.Count > 1 && m.HostPort != 0 {
				p.add(item(field, j)+".hostPort", "leave it out, or write the nodes one by one", "%s nodes cannot share port %d of the host", strconv.Itoa(*spec.Count), m.HostPort)
			}
		}
	}
}
