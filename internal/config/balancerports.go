package config

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

const balancerPortsField = "networking.loadBalancerPorts"

// maxBalancerPorts bounds how many ports lead to Services: the load balancer looks
// for each of them all the time.
const maxBalancerPorts = 32

// balancerFilter is how k3d names what publishes such a port.
const balancerFilter = "loadbalancer"

// balancerPorts are the ports of the host that lead to Services of type LoadBalancer.
func balancerPorts(w *wish, balancer string, p *problems) []PortMapping {
	specs := w.Networking.LoadBalancerPorts
	if len(specs) > maxBalancerPorts {
		p.add(w.balancerPortField(0), "", "%d ports are too many: at most %d", len(specs), maxBalancerPorts)
	}
	if len(specs) > 0 && balancer == "none" {
		p.add(w.balancerPortField(0), "leave one of them out", "with networking.loadBalancer none, nothing gives Services the addresses that these ports lead to")
	}
	out := ports(w, specs, balancerPortsField, p)
	for i, m := range out {
		if m.Protocol == "UDP" || m.Protocol == "SCTP" {
			p.add(w.balancerPortField(i), "", "only TCP is passed on, not %s", m.Protocol)
		}
	}
	return out
}

// balancerPortField is where the i-th of these ports was asked for.
func (w *wish) balancerPortField(i int) string {
	if i >= len(w.Networking.LoadBalancerPorts)-w.flagPorts {
		return "--port"
	}
	return item(balancerPortsField, i)
}

// portsFromFlags adds those of the command line to the file's.
func (w *wish) portsFromFlags(flags []string, p *problems) {
	added := append([]v1alpha1.PortMapping(nil), w.Networking.LoadBalancerPorts...)
	for _, flag := range flags {
		m, complaint := parsePort(flag)
		if complaint != "" {
			p.add("--port", "write it as 8080:80, for port 80 of a Service of type LoadBalancer at port 8080 of the host", "%q %s", shorten(flag), complaint)
			continue
		}
		added = append(added, m)
		w.flagPorts++
	}
	w.Networking.LoadBalancerPorts = added
}

// parsePort reads "[ADDRESS:]HOSTPORT:PORT[/tcp][@loadbalancer]"; complaint is what is
// wrong with it, or "".
func parsePort(text string) (m v1alpha1.PortMapping, complaint string) {
	text, filter, filtered := strings.Cut(text, "@")
	if filtered && filter != balancerFilter {
		return m, "is not of the load balancer; for ports of nodes there is extraPortMappings in a configuration file"
	}
	text, m.Protocol, _ = strings.Cut(text, "/")
	rest, port := cutLast(text)
	addr, host := cutLast(rest)
	var err error
	if m.ContainerPort, err = strconv.Atoi(port); err != nil || m.ContainerPort < 1 || m.ContainerPort > 65535 {
		return m, "has no port of a Service, from 1 to 65535, at its end"
	}
	if m.HostPort, err = strconv.Atoi(host); err != nil || m.HostPort < 0 || m.HostPort > 65535 {
		return m, "has no port of the host, from 0 (a free one) to 65535"
	}
	if addr == "" {
		return m, ""
	}
	at, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"))
	if err != nil {
		return m, "begins with what is no IP address"
	}
	m.ListenAddress = at.String()
	return m, ""
}

// cutLast cuts at the last colon; without one, before is "".
func cutLast(s string) (before, after string) {
	if i := strings.LastIndex(s, ":"); i >= 0 {
		return s[:i], s[i+1:]
	}
	return "", s
}
