package boot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/kluster-project/kluster/internal/nodeagent/hostnet"
)

const (
	// conflistPath is the only network configuration of a node with the
	// default pod network.
	conflistPath = "/etc/cni/net.d/10-kluster.conflist"
	// engineMTU stands in where a node has no default route.
	engineMTU = 1500
)

// conflist is a CNI network configuration list.
type conflist struct {
	CNIVersion string   `json:"cniVersion"`
	Name       string   `json:"name"`
	Plugins    []plugin `json:"plugins"`
}

type plugin struct {
	Type         string          `json:"type"`
	MTU          int             `json:"mtu,omitempty"`
	IPAM         *ipam           `json:"ipam,omitempty"`
	Capabilities map[string]bool `json:"capabilities,omitempty"`
}

type ipam struct {
	Type string `json:"type"`
}

// configurePodNetwork writes the CNI configuration of the default pod network
// before the kubelet first looks; the address ranges come from the plugin
// kluster-ipam, once the node knows them. With another pod network it removes
// what an earlier start may have left.
func configurePodNetwork(_ context.Context, m *Machine) error {
	if m.Node.CNI != "default" {
		if err := os.Remove(m.path(conflistPath)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("removing the default pod network: %w", err)
		}
		return nil
	}
	mtu := engineMTU
	route, err := hostnet.DefaultRoute(m.Root)
	switch {
	case err == nil:
		mtu = route.MTU
	case !errors.Is(err, hostnet.ErrNoDefaultRoute):
		return err
	}
	list := conflist{CNIVersion: "1.0.0", Name: "kluster", Plugins: []plugin{
		{Type: "ptp", MTU: mtu, IPAM: &ipam{Type: "kluster-ipam"}},
		{Type: "portmap", Capabilities: map[string]bool{"portMappings": true}},
	}}
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the pod network: %w", err)
	}
	return m.write(conflistPath, string(text)+"\n", 0o644)
}
