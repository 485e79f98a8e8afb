// Package loadbalancer renders the configuration of the load balancer that
// serves a cluster's API to the host: haproxy 2.6 or newer, one TCP frontend over
// all kube-apiservers, and one for each port of the host that leads to Services.
//
// Backends are checked with GET /readyz over TLS, because the kernel of a frozen
// node still accepts connections, and because /readyz is the first to fail when
// an apiserver shuts down. Sessions of a backend that goes down are cut: an HTTP/2
// client would wait 45 seconds to find out by itself.
package loadbalancer

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/netip"
	"text/template"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// CAFile is where the load balancer finds the cluster's CA certificate, with
// which it verifies the backends it checks.
const CAFile = "/etc/haproxy/cluster-ca.crt"

// Command runs haproxy in the foreground on nodespec.LoadBalancerConfig.
var Command = []string{"/usr/sbin/haproxy", "-db", "-f", nodespec.LoadBalancerConfig}

// Config is what the load balancer serves.
type Config struct {
	// Port to listen on, on every address.
	Port int
	// IPv6 listens on IPv6 too, which needs a kernel that has it.
	IPv6 bool
	// CAFile, if not empty, is used in place of the package's CAFile.
	CAFile string
	// Socket, if not empty, is used in place of the package's Socket.
	Socket   string
	Backends []Backend
	// Services are further ports, which lead to Services of type LoadBalancer.
	Services []Service
}

// Service is a port that leads to the first of some addresses that answers there.
// They are looked for all the time, since Services come and go.
type Service struct {
	Listen int // the port to listen on, on every address
	Port   int // of Addrs
	Addrs  []netip.Addr
}

// Servers are where the Service may be, the preferred one first.
func (s Service) Servers() []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range s.Addrs {
		out = append(out, netip.AddrPortFrom(a, uint16(s.Port)))
	}
	return out
}

// Backend is one kube-apiserver.
type Backend struct {
	Name string // the node's
	Addr netip.AddrPort
}

//go:embed haproxy.cfg.tmpl
var source string

var config = template.Must(template.New("haproxy.cfg").Parse(source))

// Render gives haproxy's configuration. It fails without backends, since
// haproxy would then refuse every client and say nothing.
func Render(c Config) ([]byte, error) {
	if err := checkBackends(c.Backends); err != nil {
		return nil, err
	}
	for _, s := range c.Services {
		if len(s.Addrs) == 0 {
			return nil, fmt.Errorf("load balancer: port %d leads nowhere", s.Port)
		}
	}
	if c.CAFile == "" {
		c.CAFile = CAFile
	}
	if c.Socket == "" {
		c.Socket = Socket
	}
	var buf bytes.Buffer
	if err := config.Execute(&buf, c); err != nil {
		return nil, fmt.Errorf("rendering haproxy.cfg: %w", err)
	}
	return buf.Bytes(), nil
}
