package cluster

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/internal/config"
)

func TestExposed(t *testing.T) {
	for _, test := range []struct {
		api, port string
		want      []string // what the warnings begin with
	}{
		{"127.0.0.1", "127.0.0.1", nil},
		{"127.0.0.2", "::1", nil},
		{"::ffff:127.0.0.1", "127.0.0.1", nil},
		{"0.0.0.0", "127.0.0.1", []string{"WARNING: the API listens on 0.0.0.0,"}},
		{"::", "192.0.2.1", []string{"WARNING: the API listens on ::,", "WARNING: port 8080 of the load balancer listens on 192.0.2.1,"}},
	} {
		notes := exposed(config.Networking{
			APIServerAddress: netip.MustParseAddr(test.api), LoadBalancerPorts: []config.PortMapping{{HostPort: 8080, ListenAddress: test.port}},
		})
		if len(notes) != len(test.want) {
			t.Fatalf("%s and %s: %q", test.api, test.port, notes)
		}
		for i, want := range test.want {
			if !strings.HasPrefix(notes[i], want) {
				t.Errorf("%s and %s: %q", test.api, test.port, notes[i])
			}
		}
	}
}
