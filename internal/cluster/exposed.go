package cluster

import (
	"fmt"
	"net/netip"

	"github.com/kluster-project/kluster/internal/config"
)

// exposed warns of what others than this machine's users can reach: a cluster's nodes may
// do what root may do on this machine, and so may whoever may do all in the cluster.
func exposed(net config.Networking) []string {
	var notes []string
	warn := func(addr netip.Addr, what, means string) {
		if addr.IsValid() && !addr.Unmap().IsLoopback() {
			notes = append(notes, fmt.Sprintf("WARNING: %s listens on %s, not on 127.0.0.1: %s", what, addr, means))
		}
	}
	warn(net.APIServerAddress, "the API", "whoever reaches that address reaches it, and with this cluster's kubeconfig is as good as root on this machine")
	for _, m := range net.LoadBalancerPorts {
		addr, _ := netip.ParseAddr(m.ListenAddress) // checked with the configuration
		warn(addr, fmt.Sprintf("port %d of the load balancer", m.HostPort), "whoever reaches that address reaches the Services behind it")
	}
	return notes
}
