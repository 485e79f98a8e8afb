// Package docker makes kluster's nodes as containers of a Docker engine. It is
// the only package that knows Docker's words; it works with every engine from
// 20.10 (API 1.41) on, never asks for --privileged, and refuses engines on
// other machines.
package docker

import (
	"context"
	"fmt"
	"sync"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
)

// minAPI is the API version of Engine 20.10.
const minAPI = "1.41"

// Provider is a provider.Provider on one Docker engine.
type Provider struct {
	api      *client.Client
	endpoint endpoint
	proxies  map[string]string
	// missing finds the capabilities the engine lacks; it is looked up once.
	missing func() []string
}

var _ provider.Provider = (*Provider)(nil)

// New connects to the engine that the docker command would talk to: that of
// DOCKER_HOST, else of DOCKER_CONTEXT, else of the current context, else the
// default one. DOCKER_TLS_VERIFY, DOCKER_CERT_PATH, DOCKER_API_VERSION and
// DOCKER_CONFIG count as they do there. It returns provider.ErrUnavailable if
// the engine is remote, too old, or does not answer.
func New(ctx context.Context) (*Provider, error) {
	file, err := loadConfig()
	if err != nil {
		return nil, err
	}
	end, err := resolveEndpoint(file)
	if err != nil {
		return nil, err
	}
	if err := end.refuseRemote(); err != nil {
		return nil, err
	}
	api, err := end.connect()
	if err != nil {
		return nil, fmt.Errorf("setting up the client of %s: %w", end.address(), err)
	}
	p := &Provider{api: api, endpoint: end, proxies: proxyEnv(file, end.host)}
	p.missing = sync.OnceValue(func() []string { return missingCaps(end.host) })
	if err := p.negotiate(ctx); err != nil {
		api.Close()
		return nil, err
	}
	return p, nil
}

// Close drops idle connections to the engine.
func (p *Provider) Close() error { return p.api.Close() }

// negotiate agrees on an API version and checks that the engine can be used.
func (p *Provider) negotiate(ctx context.Context) error {
	ping, err := p.api.Ping(ctx)
	if err != nil {
		return fmt.Errorf("reaching the Docker engine at %s: %w", p.endpoint.address(), unreachable(err))
	}
	p.api.NegotiateAPIVersionPing(ping)
	if v := p.api.ClientVersion(); versions.LessThan(v, minAPI) {
		return failure.With(fmt.Errorf("%w: the engine at %s speaks API %s, and %s is needed",
			provider.ErrUnavailable, p.endpoint.address(), v, minAPI),
			failure.Hint("update it to Docker Engine 20.10 or newer"))
	}
	if ping.OSType != "" && ping.OSType != "linux" {
		return failure.With(fmt.Errorf("%w: the engine at %s runs %s containers",
			provider.ErrUnavailable, p.endpoint.address(), ping.OSType),
			failure.Hint("switch it to Linux containers"))
	}
	return nil
}

// apiBefore says whether the engine speaks an older API than v.
func (p *Provider) apiBefore(v string) bool {
	return versions.LessThan(p.api.ClientVersion(), v)
}
