package cluster

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/inventory"
	"github.com/kluster-project/kluster/internal/journal"
	"github.com/kluster-project/kluster/internal/logs"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// ExportOptions say which logs are exported, and where to.
type ExportOptions struct {
	Cluster string
	// Dir is a folder that does not exist or is empty.
	Dir string
	// Since leaves out what journals and pods said before; zero leaves out nothing.
	Since time.Time
}

// ExportLogs takes the logs of all machines of a cluster, and what its API holds, into
// a folder; see logs.Export.
func (m *Manager) ExportLogs(ctx context.Context, opt ExportOptions) (*logs.Summary, error) {
	nodes, err := m.existing(ctx, opt.Cluster)
	if err != nil {
		return nil, err
	}
	m.hideSecrets(ctx, nodes)
	o := logs.Options{
		Cluster: opt.Cluster, Provider: m.provider, Machines: m.logMachines(ctx, nodes),
		Since: opt.Since, Dir: opt.Dir, Reporter: m.reporter,
	}
	o.API, o.APIError = m.inventory(ctx, opt.Cluster)
	return logs.Export(ctx, o)
}

// inventory reaches the API of a cluster.
func (m *Manager) inventory(ctx context.Context, cluster string) (*inventory.API, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	conf, err := m.Kubeconfig(ctx, cluster, false)
	if err != nil {
		return nil, err
	}
	client, dynamic, err := m.clients(conf)
	if err != nil {
		return nil, err
	}
	return &inventory.API{Client: client, Dynamic: dynamic}, nil
}

// logMachines are the machines whose logs are taken, with the container runtimes that
// they have now; of a node that does not answer it is what it was made with.
func (m *Manager) logMachines(ctx context.Context, nodes []provider.Node) []logs.Machine {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	machines := make([]logs.Machine, len(nodes))
	var looks sync.WaitGroup
	for i, n := range nodes {
		machines[i] = logs.Machine{Node: n, Role: n.Labels[nodespec.LabelRole]}
		if isLoadBalancer(n) {
			machines[i].Config = []string{nodespec.LoadBalancerConfig}
		}
		if isLoadBalancer(n) || isRegistry(n) {
			continue
		}
		looks.Go(func() {
			runtime := m.logRuntime(ctx, n)
			machines[i].Runtime = &runtime
		})
	}
	looks.Wait()
	return machines
}

// logRuntime is a node's container runtime as well as it is known.
func (m *Manager) logRuntime(ctx context.Context, n provider.Node) cri.Runtime {
	for _, look := range []func() (cri.Runtime, error){
		func() (cri.Runtime, error) { return m.runtimeOf(ctx, n) },
		func() (cri.Runtime, error) { return firstRuntimeOf(n) },
	} {
		if runtime, err := look(); err == nil {
			return runtime
		}
	}
	return cri.All()[0]
}

// LogOptions say which part of a node's log is wanted.
type LogOptions struct {
	// Units are systemd units; none are the kubelet and the container runtime.
	Units []string
	Since time.Time
	// Follow goes on until ctx ends.
	Follow bool
}

// NodeLogs writes the journal of a node, or what the load balancer printed.
func (m *Manager) NodeLogs(ctx context.Context, cluster, node string, opt LogOptions, stdout, stderr io.Writer) error {
	n, err := m.node(ctx, cluster, node)
	if err != nil {
		return err
	}
	if isLoadBalancer(n) {
		if len(opt.Units) > 0 {
			return &inputError{fmt.Errorf("%s is the load balancer, which has no units: leave out --unit", node)}
		}
		return m.provider.Logs(ctx, n.ID, provider.LogOptions{Since: opt.Since, Follow: opt.Follow}, stdout)
	}
	if n.State != provider.StateRunning {
		return stoppedError(n)
	}
	units := slices.Clone(opt.Units)
	if len(units) == 0 {
		units = cri.LogUnits(m.logRuntime(ctx, n))
	}
	query := journal.Query{Units: units, Since: opt.Since, Follow: opt.Follow}
	return m.provider.Exec(ctx, n.ID, provider.Command{Args: query.Args(), Stdout: stdout, Stderr: stderr})
}
