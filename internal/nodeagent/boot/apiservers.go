package boot

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kluster-project/kluster/internal/nodespec"
)

const (
	proxyUnit   = "kluster-api-proxy.service"
	networkUnit = "kluster-network.service"
)

// RecordAPIServers makes these the API servers that the node knows of.
func RecordAPIServers(m *Machine, servers []string) error {
	m.Node.APIServers = servers
	text, err := json.MarshalIndent(m.Node, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding what the node is told: %w", err)
	}
	return m.write(nodespec.NodeFile, string(text), 0o644)
}

// TellAPIServers makes the node's proxy read them, and the pod network too where network
// says so: that one has to begin anew, which pods do not notice.
func TellAPIServers(ctx context.Context, m *Machine, network bool) error {
	if err := m.systemctl(ctx, "try-reload-or-restart", proxyUnit); err != nil {
		return fmt.Errorf("telling the proxy of API servers: %w", err)
	}
	if !network {
		return nil
	}
	if err := m.systemctl(ctx, "try-restart", networkUnit); err != nil {
		return fmt.Errorf("telling the pod network of API servers: %w", err)
	}
	return nil
}
