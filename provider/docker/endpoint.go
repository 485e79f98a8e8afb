package docker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/config/configfile"
	dockercontext "github.com/docker/cli/cli/context"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/client"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
)

// dockerEndpoint is the name of the engine's endpoint in a docker context.
const dockerEndpoint = "docker"

// endpoint is where an engine answers.
type endpoint struct {
	host string // "unix:///var/run/docker.sock"
	from string // what chose it, "DOCKER_HOST"
	tls  *tls.Config
}

// resolveEndpoint picks the endpoint as the docker command does.
func resolveEndpoint(file *configfile.ConfigFile) (endpoint, error) {
	if host := os.Getenv(client.EnvOverrideHost); host != "" {
		conf, err := tlsFromEnv()
		return endpoint{host: host, from: client.EnvOverrideHost, tls: conf}, err
	}
	name := os.Getenv("DOCKER_CONTEXT")
	if name == "" {
		name = file.CurrentContext
	}
	if name == "" || name == "default" {
		return endpoint{host: client.DefaultDockerHost, from: "the default"}, nil
	}
	return endpointOfContext(name)
}

// endpointOfContext reads the endpoint of a docker context.
func endpointOfContext(name string) (endpoint, error) {
	s := store.New(filepath.Join(configDir(), "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(dockerEndpoint, func() any { return &dockercontext.EndpointMetaBase{} }),
	))
	meta, err := s.GetMetadata(name)
	if err != nil {
		return endpoint{}, failure.With(fmt.Errorf("%w: reading docker context %q: %w", provider.ErrUnavailable, name, err),
			failure.Hint("docker context ls lists those there are"))
	}
	base, ok := meta.Endpoints[dockerEndpoint].(dockercontext.EndpointMetaBase)
	if !ok {
		return endpoint{}, fmt.Errorf("%w: docker context %q names no Docker engine", provider.ErrUnavailable, name)
	}
	data, err := dockercontext.LoadTLSData(s, name, dockerEndpoint)
	if err != nil {
		return endpoint{}, fmt.Errorf("reading the certificates of docker context %q: %w", name, err)
	}
	conf, err := tlsConfig(data, base.SkipTLSVerify)
	if err != nil {
		return endpoint{}, fmt.Errorf("docker context %q: %w", name, err)
	}
	host := base.Host
	if host == "" {
		host = client.DefaultDockerHost
	}
	return endpoint{host: host, from: fmt.Sprintf("docker context %q", name), tls: conf}, nil
}

// tlsFromEnv reads DOCKER_CERT_PATH and DOCKER_TLS_VERIFY; nil if neither is set.
func tlsFromEnv() (*tls.Config, error) {
	dir, verify := os.Getenv(client.EnvOverrideCertPath), os.Getenv(client.EnvTLSVerify) != ""
	if dir == "" && !verify {
		return nil, nil
	}
	if dir == "" {
		dir = configDir()
	}
	data, err := dockercontext.TLSDataFromFiles(
		filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, fmt.Errorf("reading the engine's certificates in %s: %w", dir, err)
	}
	return tlsConfig(data, !verify)
}

// tlsConfig makes the configuration of a client; nil if there is nothing to set.
func tlsConfig(data *dockercontext.TLSData, skipVerify bool) (*tls.Config, error) {
	if data == nil && !skipVerify {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: skipVerify}
	if data == nil {
		return conf, nil
	}
	if data.CA != nil {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(data.CA) {
			return nil, errors.New("ca.pem holds no certificate")
		}
	}
	if data.Cert != nil && data.Key != nil {
		pair, err := tls.X509KeyPair(data.Cert, data.Key)
		if err != nil {
			return nil, fmt.Errorf("reading cert.pem and key.pem: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// connect makes a client; it does not talk to the engine yet.
func (e endpoint) connect() (*client.Client, error) {
	opts := []client.Opt{client.WithAPIVersionNegotiation(), client.WithVersionFromEnv()}
	if e.tls != nil && !e.isSocket() {
		opts = append(opts, client.WithHTTPClient(&http.Client{
			Transport:     &http.Transport{TLSClientConfig: e.tls},
			CheckRedirect: client.CheckRedirect,
		}))
	}
	return client.NewClientWithOpts(append(opts, client.WithHost(e.host))...)
}

// isSocket says whether the endpoint is a socket file or named pipe.
func (e endpoint) isSocket() bool {
	scheme, _, _ := strings.Cut(e.host, "://")
	return scheme == "unix" || scheme == "npipe"
}

// local says whether the endpoint is on this machine.
func (e endpoint) local() bool {
	if e.isSocket() {
		return true
	}
	u, err := url.Parse(e.host)
	if err != nil || (u.Scheme != "tcp" && u.Scheme != "http" && u.Scheme != "https") {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// refuseRemote gives an error for an engine on another machine: published
// ports, host paths and addresses of nodes would all be over there.
func (e endpoint) refuseRemote() error {
	if e.local() {
		return nil
	}
	return failure.With(
		fmt.Errorf("%w: %s (from %s) is not an engine on this machine, and remote engines are not supported",
			provider.ErrUnavailable, e.address(), e.from),
		failure.Hint("run kluster on that machine, or choose a local engine (unset DOCKER_HOST, docker context use default)"))
}

// address is the host without user name and password, fit for messages.
func (e endpoint) address() string {
	u, err := url.Parse(e.host)
	if err != nil {
		scheme, _, _ := strings.Cut(e.host, "://")
		return scheme + "://..."
	}
	if u.User == nil {
		return e.host
	}
	u.User = nil
	return u.String()
}

// socketPath is the path of the endpoint's unix socket, if it is one.
func socketPath(host string) (string, bool) {
	return strings.CutPrefix(host, "unix://")
}

// dialSocket connects to a unix socket, only to ask who listens.
func dialSocket(path string) (*net.UnixConn, error) {
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
}
