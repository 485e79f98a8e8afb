package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/loadbalancer"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// member is a machine with what it is told.
type member struct {
	provider.Node
	told nodespec.Node
}

// members are a cluster's nodes, without its load balancer, each with what it is told;
// the addresses are in the order of the cluster's families.
func (m *Manager) members(ctx context.Context, machines []provider.Node) ([]member, error) {
	nodes := slices.DeleteFunc(slices.Clone(machines), isLoadBalancer)
	all := make([]member, len(nodes))
	group, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		group.Go(func() error {
			told, err := m.told(ctx, n)
			if err != nil {
				return err
			}
			n.Addrs = told.Addrs
			all[i] = member{n, told}
			return nil
		})
	}
	return all, group.Wait()
}

// machinesIn are the machines of members.
func machinesIn(members []member) []provider.Node {
	var nodes []provider.Node
	for _, n := range members {
		nodes = append(nodes, n.Node)
	}
	return nodes
}

// apiServersOf are where the control planes among members serve the API.
func apiServersOf(members []member) []loadbalancer.Backend {
	var all []loadbalancer.Backend
	for _, n := range members {
		if isControlPlane(n.Node) {
			all = append(all, loadbalancer.Backend{Name: n.Name, Addr: netip.AddrPortFrom(n.Addrs[0], nodespec.APIServerPort)})
		}
	}
	return all
}

// tellAPIServers tells every node's proxy and the load balancer that these are the API
// servers, now and at later starts. Nobody is cut off: one that has gone from the list
// gets no new sessions.
func (m *Manager) tellAPIServers(ctx context.Context, members []member, balancer []provider.Node, servers []loadbalancer.Backend) error {
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.Addr.String())
	}
	var group sync.WaitGroup // one that cannot be told does not keep the others from it
	errs := make([]error, len(members)+len(balancer))
	for i, n := range members {
		if !slices.Equal(n.told.APIServers, addrs) {
			group.Go(func() { errs[i] = m.tellNode(ctx, n, addrs) })
		}
	}
	for i, lb := range balancer {
		group.Go(func() { errs[len(members)+i] = m.tellBalancer(ctx, lb, servers) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// unpaused refuses a change of the API servers while machines are paused: what runs in them
// cannot be told, and goes on with the old ones when it is resumed.
func unpaused(cluster string, machines []provider.Node) error {
	paused := slices.DeleteFunc(slices.Clone(machines), func(n provider.Node) bool { return n.State != provider.StatePaused })
	if len(paused) == 0 {
		return nil
	}
	return unfitError(fmt.Errorf("paused nodes cannot be told of the API servers: %s", strings.Join(nodeNames(paused), ", ")),
		"let them go on first: kluster resume %s", cluster)
}

// tellNode tells one node; one that does not run reads it when it starts. None is paused
// (see unpaused).
func (m *Manager) tellNode(ctx context.Context, n member, servers []string) error {
	if n.State == provider.StateRunning {
		args := append([]string{nodespec.NodeBinary, "api-servers"}, servers...)
		if err := m.provider.Exec(ctx, n.ID, provider.Command{Args: args}); err != nil {
			return fmt.Errorf("telling %s of the API servers: %w", n.Name, err)
		}
		return nil
	}
	told := n.told
	told.APIServers = servers
	text, err := json.MarshalIndent(told, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding what %s is told: %w", n.Name, err)
	}
	return m.putFiles(ctx, n.Node, nodespec.File{Path: nodespec.NodeFile, Mode: 0o644, Data: text})
}

// tellBalancer tells the load balancer: its file, and the haproxy that runs.
func (m *Manager) tellBalancer(ctx context.Context, lb provider.Node, servers []loadbalancer.Backend) error {
	config, err := m.readFile(ctx, lb.ID, nodespec.LoadBalancerConfig)
	if err != nil {
		return err
	}
	if config, err = loadbalancer.SetBackends(config, servers); err != nil {
		return err
	}
	if err := m.putFiles(ctx, lb, nodespec.File{Path: nodespec.LoadBalancerConfig, Mode: 0o644, Data: config}); err != nil {
		return err
	}
	return m.settleBalancer(ctx, lb)
}

// settleBalancer makes the haproxy that runs what its file says; with "cut" sessions end
// whose server is not in it.
func (m *Manager) settleBalancer(ctx context.Context, lb provider.Node, how ...string) error {
	if lb.State != provider.StateRunning {
		return nil
	}
	args := append([]string{nodespec.NodeBinary, "balancer"}, how...)
	if err := m.provider.Exec(ctx, lb.ID, provider.Command{Args: args}); err != nil {
		return fmt.Errorf("telling %s of the API servers: %w", lb.Name, err)
	}
	return nil
}

// putFiles puts files into a node, running or not.
func (m *Manager) putFiles(ctx context.Context, n provider.Node, files ...nodespec.File) error {
	archive, err := tarOf(files, time.Now())
	if err != nil {
		return fmt.Errorf("packing files of %s: %w", n.Name, err)
	}
	return m.provider.CopyTo(ctx, n.ID, "/", archive)
}

// balancers are the load balancers among machines.
func balancers(machines []provider.Node) []provider.Node {
	return slices.DeleteFunc(slices.Clone(machines), func(n provider.Node) bool { return !isLoadBalancer(n) })
}

// errNoAPI is a cluster none of whose API servers can be asked.
var errNoAPI = errors.New("no control plane of the cluster runs")
