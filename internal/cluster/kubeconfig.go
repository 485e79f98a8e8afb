package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kluster-project/kluster/internal/kubeconfig"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// AdminConf is kubeadm's own kubeconfig, on every control plane.
const AdminConf = "/etc/kubernetes/admin.conf"

// Kubeconfig gives a cluster's kubeconfig: for use on the host or, with
// internal, from containers on the cluster's network.
func (m *Manager) Kubeconfig(ctx context.Context, cluster string, internal bool) ([]byte, error) {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCluster: cluster})
	if err != nil {
		return nil, err
	}
	if len(nodes) == 0 {
		return nil, m.noSuchCluster(ctx, cluster)
	}
	server := internalServer(cluster)
	if !internal {
		if server, err = serverOf(nodes); err != nil {
			return nil, fmt.Errorf("cluster %q: %w", cluster, err)
		}
	}
	for _, n := range nodes {
		if n.Labels[nodespec.LabelRole] != string(nodespec.RoleControlPlane) {
			continue
		}
		conf, err := m.readFile(ctx, n.ID, AdminConf)
		if errors.Is(err, provider.ErrNotFound) {
			continue // it is being added, and has yet to join
		}
		if err != nil {
			return nil, err
		}
		return kubeconfig.Rewrite(conf, ContextName(cluster), server)
	}
	return nil, fmt.Errorf("cluster %q has no control plane", cluster)
}

// internalServer is where containers on a cluster's network find the API.
func internalServer(cluster string) string {
	return fmt.Sprintf("https://%s:%d", LoadBalancerName(cluster), nodespec.APIPort)
}

func (m *Manager) readFile(ctx context.Context, id, path string) ([]byte, error) {
	r, err := m.provider.CopyFrom(ctx, id, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	t := tar.NewReader(r)
	if _, err := t.Next(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, t); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return buf.Bytes(), nil
}

// writeKubeconfig merges the cluster's entry into the user's file, once the
// cluster is marked as made.
func (c *creation) writeKubeconfig(ctx context.Context, step status.Step) error {
	if err := c.markMade(ctx); err != nil {
		return err
	}
	if c.opt.NoKubeconfig {
		return nil
	}
	conf, err := c.m.Kubeconfig(ctx, c.cfg.Name, false)
	if err != nil {
		return err
	}
	if conf, err = kubeconfig.Mark(conf, c.id); err != nil {
		return err
	}
	// Before the call: one that fails may have written it all the same.
	c.merged = true
	warning, err := kubeconfig.Merge(ctx, c.kubeconfig, conf)
	if warning != "" {
		step.Note("%s", warning)
	}
	return err
}

// removeKubeconfig takes back writeKubeconfig.
func (c *creation) removeKubeconfig(ctx context.Context) error {
	if !c.merged {
		return nil
	}
	return c.m.removeEntry(ctx, []string{c.kubeconfig}, c.cfg.Name, []string{c.id})
}

// removeEntry takes a cluster's entry, as these creates made it, out of these
// kubeconfigs; one that does not exist is passed over.
func (m *Manager) removeEntry(ctx context.Context, paths []string, cluster string, creations []string) error {
	var errs []error
	for _, p := range paths {
		warning, err := kubeconfig.Remove(ctx, p, ContextName(cluster), creations)
		if warning != "" {
			m.reporter.Note("%s", warning)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// usualKubeconfigs are the files that may hold a cluster's entry: explicit, or else
// every file that kubectl reads. Where there is none to be found the cluster goes all
// the same.
func usualKubeconfigs(explicit string) []string {
	if explicit != "" {
		return []string{explicit}
	}
	paths, _ := kubeconfig.Paths(os.Getenv) // without a home there is none
	return paths
}

// entryCreations are the creates that a cluster's entries in these kubeconfigs are of.
func entryCreations(paths []string, cluster string) []string {
	var ids []string
	for _, p := range paths {
		conf, err := os.ReadFile(p)
		if id := kubeconfig.CreationIn(conf, ContextName(cluster)); err == nil && id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// withToldKubeconfig adds the file that the create of these nodes was told.
func withToldKubeconfig(paths []string, nodes []provider.Node) []string {
	f, err := factsOf(nodes)
	if err != nil || f.Kubeconfig == "" || slices.ContainsFunc(paths, sameFile(f.Kubeconfig)) {
		return paths
	}
	return append(paths, f.Kubeconfig)
}

// sameFile compares paths with an absolute one.
func sameFile(abs string) func(path string) bool {
	return func(path string) bool {
		path, err := filepath.Abs(path)
		return err == nil && path == abs
	}
}

// connect makes the clients that the create uses.
func (c *creation) connect(conf []byte) (err error) {
	c.client, c.dynamic, err = c.m.clients(conf)
	return err
}

// clientsOf makes clients of a cluster, through its load balancer as its users do.
func clientsOf(conf []byte) (kubernetes.Interface, dynamic.Interface, error) {
	rc, err := clientcmd.RESTConfigFromKubeConfig(conf)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the admin's kubeconfig: %w", err)
	}
	// They wait by asking often; the default of 5 a second would show.
	rc.QPS, rc.Burst = 50, 100
	// The host's proxy is for what lies outside of it.
	rc.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	rc.WarningHandler = rest.NoWarnings{} // nobody asked for what is deprecated
	rc.Wrap(tracedTransport)
	client, err := kubernetes.NewForConfig(rc)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client of the cluster: %w", err)
	}
	other, err := dynamic.NewForConfig(rc)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client of the cluster: %w", err)
	}
	return client, other, nil
}
