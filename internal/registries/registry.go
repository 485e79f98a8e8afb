// Package registries keeps the registries that all clusters share: a local one, to
// which the host pushes and from which nodes pull under one name, and pull-through
// caches of others. Each is a machine of its own that runs distribution's registry out
// of a node image. It stays when clusters go, and is put on the network of each that
// uses it.
package registries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// Manager works on the registries of one provider.
type Manager struct {
	provider provider.Provider
	reporter status.Reporter
}

// New returns a Manager.
func New(p provider.Provider, r status.Reporter) *Manager { return &Manager{provider: p, reporter: r} }

// ensureTries bounds how often a registry goes that another process was making.
const ensureTries = 3

// Ensure makes a registry that runs and answers, unless it does already. image, asked
// only if it must be made, names the node image to make it of. What it makes it
// removes again when it fails, unless others may use it by then.
func (m *Manager) Ensure(ctx context.Context, s Spec, image func(context.Context) (string, error)) error {
	for try := 1; ; try++ {
		made, err := m.ensure(ctx, s, image)
		// Whoever was making it has failed or was interrupted, and has removed it.
		taken := !made && errors.Is(err, provider.ErrNotFound)
		if !taken || try == ensureTries || ctx.Err() != nil {
			return err
		}
	}
}

// ensure is a try, which says whether it has made the machine.
func (m *Manager) ensure(ctx context.Context, s Spec, image func(context.Context) (string, error)) (made bool, err error) {
	node, err := m.find(ctx, s)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s, err)
	}
	if node == nil {
		if node, made, err = m.create(ctx, s, image); err != nil {
			return true, fmt.Errorf("making the %s: %w", s, err)
		}
	}
	if err = m.start(ctx, *node, s); err == nil {
		if made {
			m.tellUpstream(ctx, *node, s)
		}
		return made, nil
	}
	err = fmt.Errorf("starting the %s: %w", s, portHint(err))
	if !made {
		return false, err
	}
	return true, errors.Join(err, m.rollBack(ctx, *node))
}

// rollBack removes a machine that could not be started. One that runs stays when this
// was interrupted: others find it by then, and it only has yet to answer.
func (m *Manager) rollBack(ctx context.Context, node provider.Node) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	if ctx.Err() != nil {
		now, err := m.provider.Nodes(clean, provider.Selector{Label: "", nodespec.LabelNode: node.Name})
		if err == nil && len(now) == 1 && now[0].State == provider.StateRunning {
			return nil
		}
	}
	return m.remove(clean, node)
}

// portHint adds what to do about a port that is taken.
func portHint(err error) error {
	if !errors.Is(err, provider.ErrPortTaken) {
		return err
	}
	return failure.With(err, failure.Hint("choose another port: --port of kluster registry create, registries.local.hostPort in a configuration file"), failure.Exit(failure.CodeHost))
}

// find is the machine of a registry, nil if there is none. One of the same name that
// is for something else is an error.
func (m *Manager) find(ctx context.Context, s Spec) (*provider.Node, error) {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{Label: ""})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(nodes, func(n provider.Node) bool { return n.Name == s.Name() })
	if i < 0 {
		return nil, nil
	}
	had, err := specOf(nodes[i])
	if err != nil {
		return nil, err
	}
	if had != s {
		return nil, failure.New(fmt.Sprintf("%s is there already, as the %s", s.Name(), had),
			failure.Hint("use it as it is, or remove it with all that it holds: kluster registry delete %s", s.Name()), failure.Exit(failure.CodeHost))
	}
	return &nodes[i], nil
}

// create makes the machine. Its name is the lock: when another process has made it
// since, it is that one's, which both may start.
func (m *Manager) create(ctx context.Context, s Spec, image func(context.Context) (string, error)) (node *provider.Node, made bool, err error) {
	ref, err := image(ctx)
	if err != nil {
		return nil, false, err
	}
	spec, err := m.machine(ctx, s, ref)
	if err != nil {
		return nil, false, err
	}
	own, err := m.provider.CreateNode(ctx, spec)
	if err == nil {
		return &own, true, nil
	}
	if errors.Is(err, provider.ErrNameTaken) {
		if other, ferr := m.find(ctx, s); other != nil || ferr != nil {
			return other, false, ferr
		}
		return nil, false, failure.With(err, failure.Hint("what has that name is not kluster's: remove or rename it"), failure.Exit(failure.CodeHost))
	}
	return nil, false, err
}

// machine is what a registry runs in. It is on the engine's default network, for the
// way to upstream, and clusters' networks come and go.
func (m *Manager) machine(ctx context.Context, s Spec, image string) (provider.NodeSpec, error) {
	label, err := json.Marshal(s)
	if err != nil {
		return provider.NodeSpec{}, fmt.Errorf("encoding what it is: %w", err)
	}
	host, err := m.provider.Host(ctx)
	if err != nil {
		return provider.NodeSpec{}, err
	}
	spec := provider.NodeSpec{
		Name: s.Name(), Image: image, Restart: true, StopSignal: "SIGTERM", Confined: true,
		Labels:  map[string]string{Label: string(label), nodespec.LabelNode: s.Name()},
		Command: []string{program, "serve", configFile}, Volumes: []string{dataFolder},
		Env: map[string]string{"OTEL_TRACES_EXPORTER": "none"}, // else it sends traces to a collector
	}
	if s.IsCache() {
		for name, value := range host.ProxyEnv {
			spec.Env[name], spec.Env[strings.ToLower(name)] = value, value
		}
	} else {
		spec.Ports = []provider.Port{{NodePort: port, HostPort: s.HostPort, Protocol: "tcp", HostAddr: loopback}}
	}
	return spec, nil
}

// Connect puts a registry on a network, where it is found by the name in Endpoint.
func (m *Manager) Connect(ctx context.Context, s Spec, network string) error {
	node, err := m.find(ctx, s)
	if err != nil {
		return err
	}
	if node == nil {
		return &NotFoundError{Name: s.Name()}
	}
	return m.provider.Connect(ctx, node.ID, network, []string{s.host()})
}

// StartFor starts those registries on a network that do not run, and names them.
func (m *Manager) StartFor(ctx context.Context, network string) ([]string, error) {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{Label: ""})
	if err != nil {
		return nil, err
	}
	var started []string
	var errs []error
	for _, n := range nodes {
		if n.State == provider.StateRunning || !slices.Contains(n.Networks, network) {
			continue
		}
		s, err := specOf(n)
		if err == nil && n.State == provider.StatePaused {
			n.State = provider.StateRunning
			err = m.provider.UnpauseNode(ctx, n.ID)
		}
		if err == nil {
			err = m.start(ctx, n, s)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("starting %s: %w", n.Name, err))
			continue
		}
		started = append(started, n.Name)
	}
	return started, errors.Join(errs...)
}

// Disconnect takes a registry off a network, if it is on it.
func (m *Manager) Disconnect(ctx context.Context, s Spec, network string) error {
	node, err := m.find(ctx, s)
	if err != nil {
		return err
	}
	if node == nil {
		return &NotFoundError{Name: s.Name()}
	}
	return m.provider.Disconnect(ctx, node.ID, network)
}

// Info is a registry as it is now.
type Info struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`               // "registry" or "cache"
	Address  string   `json:"address,omitempty"`  // of the local registry, "localhost:5001"
	Upstream string   `json:"upstream,omitempty"` // of a cache
	URL      string   `json:"url,omitempty"`      // where a cache asks it
	Endpoint string   `json:"endpoint"`           // for nodes and pods
	State    string   `json:"state"`
	Clusters []string `json:"clusters"` // that are connected
	Bytes    int64    `json:"bytes"`    // on disk; 0 when it does not run
	Image    string   `json:"image"`
	Spec     Spec     `json:"-"`
}

// List describes every registry, by name.
func (m *Manager) List(ctx context.Context) ([]Info, error) {
	nodes, err := m.provider.Nodes(ctx, provider.Selector{Label: ""})
	if err != nil {
		return nil, err
	}
	networks, err := m.provider.Networks(ctx, provider.Selector{nodespec.LabelCluster: ""})
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(nodes))
	for _, n := range nodes {
		s, err := specOf(n)
		if err != nil {
			return nil, err
		}
		info := Info{
			Name: n.Name, Kind: "registry", Address: s.Address(), Upstream: s.Upstream, URL: s.URL, Endpoint: s.Endpoint(),
			State: string(n.State), Clusters: []string{}, Image: n.Image, Spec: s, Bytes: m.size(ctx, n),
		}
		if s.IsCache() {
			info.Kind = "cache"
		}
		for _, network := range networks {
			if slices.ContainsFunc(n.Networks, func(name string) bool { return isOn(n, network, name) }) {
				info.Clusters = append(info.Clusters, network.Labels[nodespec.LabelCluster])
			}
		}
		slices.Sort(info.Clusters)
		infos = append(infos, info)
	}
	return infos, nil
}

// Delete removes registries with all that they hold, all of them when names is empty,
// and names those it removed. One that clusters use stays unless force is set, and
// then nothing is removed.
func (m *Manager) Delete(ctx context.Context, names []string, force bool) ([]string, error) {
	chosen, err := m.Choose(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, i := range chosen {
		if len(i.Clusters) > 0 && !force {
			return nil, failure.New(fmt.Sprintf("%s is used by %s", i.Name, strings.Join(i.Clusters, ", ")),
				failure.Hint("--force removes it all the same; pulls of its images then fail there"), failure.Exit(failure.CodeHost))
		}
	}
	var gone []string
	for _, i := range chosen {
		if err := m.remove(ctx, provider.Node{Name: i.Name}); err != nil {
			return gone, err
		}
		gone = append(gone, i.Name)
	}
	return gone, nil
}

func (m *Manager) remove(ctx context.Context, n provider.Node) error {
	return m.provider.Remove(ctx, provider.Selector{Label: "", nodespec.LabelNode: n.Name})
}

// Choose are the registries of these names, which are those of machines or, for a
// cache, of its upstream; all when names is empty.
func (m *Manager) Choose(ctx context.Context, names []string) ([]Info, error) {
	infos, err := m.List(ctx)
	if err != nil || len(names) == 0 {
		return infos, err
	}
	known := map[string]Info{}
	for _, i := range infos {
		known[i.Name] = i
		if i.Upstream != "" {
			known[i.Upstream] = i
		}
	}
	chosen := map[string]Info{}
	for _, name := range names {
		i, ok := known[name]
		if !ok {
			return nil, &NotFoundError{Name: name, Known: slices.Sorted(maps.Keys(known))}
		}
		chosen[i.Name] = i
	}
	return slices.SortedFunc(maps.Values(chosen), func(a, b Info) int { return strings.Compare(a.Name, b.Name) }), nil
}

// NotFoundError is a registry that does not exist.
type NotFoundError struct {
	Name  string
	Known []string
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("no registry %q", e.Name) }

// ExitCode is that of bad input.
func (e *NotFoundError) ExitCode() int { return 2 }

// Hint lists what there is.
func (e *NotFoundError) Hint() string {
	if len(e.Known) == 0 {
		return "make one with: kluster registry create"
	}
	return "there is: " + strings.Join(e.Known, ", ")
}
