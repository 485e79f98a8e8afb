package registries

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// DefaultPort is the local registry's port on the host and on nodes. Others use 5000
// for other things: macOS for AirPlay.
const DefaultPort = 5001

// Component is the name of the program that a registry runs, among those that a node
// image tells it holds.
const Component = "registry"

const (
	// LocalName is the name of the local registry's machine, and cachePrefix begins
	// those of caches.
	LocalName   = "kluster-registry"
	cachePrefix = "kluster-cache-"
	// port is where each answers in its machine.
	port = 5000
)

// Label is on the machine of a registry and holds its Spec as JSON. It is what makes a
// machine one of these registries.
const Label = "io.kluster.registry.spec"

// Spec is a registry: the local one, or a cache of another registry.
type Spec struct {
	// Upstream is the registry that a cache is for, as images are named by it
	// ("docker.io", "registry.example:5000"); "" for the local registry.
	Upstream string `json:"upstream,omitempty"`
	// URL is where a cache asks it.
	URL string `json:"url,omitempty"`
	// HostPort is the local registry's.
	HostPort int `json:"hostPort,omitempty"`
}

// Local is the local registry; port 0 is DefaultPort.
func Local(port int) Spec {
	if port == 0 {
		port = DefaultPort
	}
	return Spec{HostPort: port}
}

// upstreams are registries that answer under another name than their images have.
var upstreams = map[string]string{"docker.io": "https://registry-1.docker.io"}

// Cache is a cache of a registry, asked at url or, when that is "", where it is known to
// answer.
func Cache(upstream, url string) Spec {
	if url == "" {
		url = upstreams[upstream]
	}
	if url == "" {
		url = "https://" + upstream
	}
	return Spec{Upstream: upstream, URL: url}
}

// asks names the registry that a cache asks, as users log in to it: its upstream, or who
// answers at a URL that the user has chosen.
func (s Spec) asks() string {
	if u, err := url.Parse(s.URL); err == nil && s != Cache(s.Upstream, "") {
		return u.Host
	}
	return s.Upstream
}

// IsCache says which of both it is.
func (s Spec) IsCache() bool { return s.Upstream != "" }

// Name is that of its machine.
func (s Spec) Name() string {
	if !s.IsCache() {
		return LocalName
	}
	return cachePrefix + s.label()
}

// label is the upstream as a part of a name.
func (s Spec) label() string { return strings.ReplaceAll(s.Upstream, ":", "-") }

// host is its name on the networks of clusters.
func (s Spec) host() string {
	if !s.IsCache() {
		return "registry" + nodespec.InternalDomain
	}
	return s.label() + ".cache" + nodespec.InternalDomain
}

// Endpoint is the URL that nodes and pods ask.
func (s Spec) Endpoint() string { return "http://" + s.HostPortInCluster() }

// HostPortInCluster is where it answers, without TLS, on the networks of clusters.
func (s Spec) HostPortInCluster() string { return net.JoinHostPort(s.host(), strconv.Itoa(port)) }

// Address is what images of the local registry are named by ("localhost:5001"), the
// same on the host and on nodes; "" for a cache.
func (s Spec) Address() string {
	if s.IsCache() {
		return ""
	}
	return "localhost:" + strconv.Itoa(s.HostPort)
}

func (s Spec) String() string {
	if s.IsCache() {
		return fmt.Sprintf("cache of %s (%s)", s.Upstream, s.URL)
	}
	return "local registry at " + s.Address()
}

// specOf reads a machine's label.
func specOf(n provider.Node) (Spec, error) {
	var s Spec
	if err := json.Unmarshal([]byte(n.Labels[Label]), &s); err != nil {
		return s, fmt.Errorf("reading label %s of %s: %w", Label, n.Name, err)
	}
	return s, nil
}
