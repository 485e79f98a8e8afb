package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/kubeadm"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// AddOptions say which nodes a cluster gets.
type AddOptions struct {
	Cluster string
	Role    nodespec.Role
	Count   int
	// Runtime and OCIRuntime run their containers; "" for those of the first control
	// plane. Image is what they are made of; "" for one that the cluster has.
	Runtime, OCIRuntime, Image string
	// Wait bounds the time from the start of the nodes until they are ready, and every
	// other step.
	Wait time.Duration
	// OnStep, if not nil, hears each step's name before it runs.
	OnStep func(ctx context.Context, name string)
}

// Added is what an add leaves.
type Added struct {
	Cluster string     `json:"cluster"`
	Nodes   []NodeInfo `json:"nodes"` // the new ones
	Notes   []string   `json:"notes,omitempty"`
	Seconds float64    `json:"seconds"`
}

// addedLabel, on a node that was added, holds the ID of that change, so that one that
// failed takes back its own nodes alone.
const addedLabel = "io.kluster.added"

// addition is an add under way. Nodes are made as a create makes them, by a creation that
// knows of the new ones only.
type addition struct {
	*creation
	add      AddOptions
	change   string // its ID
	machines []provider.Node
	had      []member // the nodes of before
	source   member   // the control plane that the others' files are taken from
	cluster  clusterDocs
	shared   *shared
	parts    map[string]kubeadm.Joining
	// readies says whether nodes can be expected to get Ready: without a pod network
	// they do not.
	readies bool
}

func addPlan() []changeStep[*addition] {
	return []changeStep[*addition]{
		{"check", "whatever forbids it is found before anything is made", silentChange((*addition).check), nil},
		{"files", "what the other nodes have, where the cluster's state lives", inTime((*addition).collect), nil},
		{"nodes", "all at once, each with its files before its first start", inTime((*addition).createNodes), (*addition).removeNodes},
		{"control plane", "one after the other: etcd takes one new member at a time, which learns before it votes", (*addition).joinControlPlanes, nil},
		{"readiness", "every new node Ready, and its API server if it has one", (*addition).waitReady, nil},
		{"labels", "those that kubelets may not give to their own nodes", inTime((*addition).labelNodes), nil},
		{"API servers", "the nodes' proxies and the load balancer know the new control planes", inTime((*addition).announce), (*addition).takeBackAPIServers},
		{"record", "that they are the cluster's now", inTime((*addition).record), nil},
	}
}

// inTime is a silent step that has as long as the new nodes have to get ready: an engine or
// a node that hangs does not hold the cluster's lock for good.
func inTime(run func(*addition, context.Context) error) func(*addition, context.Context, status.Step) error {
	return silentChange(func(a *addition, ctx context.Context) error {
		ctx, cancel := a.bounded(ctx)
		defer cancel()
		err := run(a, ctx)
		if err != nil && ctx.Err() != nil {
			err = causeOf(ctx, err)
		}
		return err
	})
}

// AddSteps names the steps of an add, in order.
func AddSteps() []string {
	var names []string
	for _, s := range addPlan() {
		names = append(names, s.Name)
	}
	return names
}

// AddNodes gives a cluster that runs more nodes, with what the others have, and returns
// when they are ready. If that fails, whatever it has made is removed again: machines,
// members of etcd, nodes of the API.
func (m *Manager) AddNodes(ctx context.Context, opt AddOptions) (*Added, error) {
	began := time.Now()
	if err := opt.wanted(); err != nil {
		return nil, err
	}
	machines, err := m.existing(ctx, opt.Cluster)
	if err != nil {
		return nil, err
	}
	id, unlock, err := m.lock(ctx, addWork, opt.Cluster, machines, time.Duration(len(addPlan()))*opt.Wait+changeBackTime+rollbackTime)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := m.clearAdded(ctx, opt.Cluster); err != nil {
		return nil, err
	}
	a := newAddition(m, opt, id)
	whole := m.reporter.Step(opt.title(), 0)
	err = (&change[*addition]{of: a, whole: whole, onStep: opt.OnStep}).run(ctx, addPlan())
	whole.End(err)
	if err != nil {
		return nil, err
	}
	added := &Added{Cluster: opt.Cluster, Nodes: []NodeInfo{}, Notes: a.notes}
	for _, n := range a.cfg.Nodes {
		info := nodeInfo(a.nodes[n.Name])
		info.State, info.Runtime = string(provider.StateRunning), n.Runtime
		added.Nodes = append(added.Nodes, info)
	}
	added.Seconds = time.Since(began).Seconds()
	return added, nil
}

func newAddition(m *Manager, opt AddOptions, id string) *addition {
	return &addition{
		creation: &creation{
			m: m, cfg: &config.Cluster{Name: opt.Cluster}, began: time.Now(),
			image: map[string]string{}, runs: map[string]runs{}, layers: map[string]map[string]string{}, nodes: map[string]provider.Node{},
		},
		add: opt, change: id, parts: map[string]kubeadm.Joining{},
	}
}

// title says what is added, in a few words.
func (o AddOptions) title() string {
	what := strings.ReplaceAll(string(o.Role), "-", " ")
	if o.Count == 1 {
		return "adding a " + what
	}
	return fmt.Sprintf("adding %d %ss", o.Count, what)
}

// wanted sees that what is asked for can be had at all.
func (o AddOptions) wanted() error {
	var errs []error
	if o.Role != nodespec.RoleControlPlane && o.Role != nodespec.RoleWorker {
		errs = append(errs, fmt.Errorf("no role %q", o.Role))
	}
	if o.Count < 1 || o.Count > config.MaxNodes {
		errs = append(errs, fmt.Errorf("from 1 to %d nodes can be added, not %d", config.MaxNodes, o.Count))
	}
	if o.Runtime != "" {
		_, err := cri.Get(o.Runtime)
		errs = append(errs, err)
	}
	if o.OCIRuntime != "" {
		_, err := cri.GetOCI(o.OCIRuntime)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return &inputError{err}
	}
	return nil
}

// controlPlanesAdded says whether the new nodes are such.
func (a *addition) controlPlanesAdded() bool { return a.add.Role == nodespec.RoleControlPlane }

// removeNodes takes back all that the add has made.
func (a *addition) removeNodes(ctx context.Context) error {
	nodes, err := a.m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCluster: a.cfg.Name, addedLabel: a.change})
	if err != nil {
		return err
	}
	return a.m.removeAdded(ctx, a.cfg.Name, nodes)
}
