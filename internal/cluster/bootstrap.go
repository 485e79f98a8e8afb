package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/kubeconfig"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/trace"
	"github.com/kluster-project/kluster/provider"
)

// waitControlPlanes returns when all control planes have made themselves such,
// with kubeadm. None joins another: each knows all members of etcd, and two of
// three are a quorum whichever comes first.
func (c *creation) waitControlPlanes(ctx context.Context) error {
	return c.eachNode(ctx, func(ctx context.Context, _ int, n config.Node) error {
		node := c.nodes[n.Name]
		if err := c.m.waitBooted(ctx, node); err != nil {
			return err
		}
		return c.m.provider.Exec(ctx, node.ID, provider.Command{Args: []string{"kluster-node", "await", "bootstrap"}})
	}, nodespec.RoleControlPlane)
}

// connectAsAdmin makes the create's own client, with a certificate of its own.
func (c *creation) connectAsAdmin() error {
	admin, err := c.ca.SuperAdmin()
	if err != nil {
		return err
	}
	conf, err := kubeconfig.Render(kubeconfig.Entry{
		Name: ContextName(c.cfg.Name), Server: c.server, CA: c.ca.CACertificate(),
		ClientCertificate: admin.Certificate, ClientKey: admin.Key,
	})
	if err != nil {
		return err
	}
	return c.connect(conf)
}

// waitAPI returns when the API is ready behind the load balancer, with clients
// of it made.
func (c *creation) waitAPI(ctx context.Context) error {
	if err := c.connectAsAdmin(); err != nil {
		return err
	}
	defer trace.Start(ctx, trace.Act, "API", "wait until it is ready behind the load balancer").End()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.ca.CACertificate())
	client := &http.Client{
		Timeout:   3 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	defer client.CloseIdleConnections()
	last := errors.New("not asked yet")
	err := c.poll(ctx, func(ctx context.Context) (bool, error) {
		last = c.m.readyz(ctx, client, c.server)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the API (%w): %w", last, err)
	}
	return nil
}

func readyz(ctx context.Context, client *http.Client, server string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("asking for /readyz: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("reading the answer of /readyz: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s", resp.Status)
	}
	return nil
}
