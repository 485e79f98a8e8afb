package providertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/kluster-project/kluster/provider"
)

// Nodes implements provider.Provider.
func (p *Provider) Nodes(ctx context.Context, sel provider.Selector) ([]provider.Node, error) {
	if err := p.begin(ctx, "Nodes", ""); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	nodes := []provider.Node{}
	for _, name := range slices.Sorted(maps.Keys(p.nodes)) {
		if node := p.nodes[name].Node; matches(node.Labels, sel) {
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}

// CreateNode implements provider.Provider.
func (p *Provider) CreateNode(ctx context.Context, spec provider.NodeSpec) (provider.Node, error) {
	if err := p.begin(ctx, "CreateNode", spec.Name); err != nil {
		return provider.Node{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, taken := p.nodes[spec.Name]; taken {
		return provider.Node{}, fmt.Errorf("creating node %q: %w", spec.Name, provider.ErrNameTaken)
	}
	img, held := p.images[spec.Image]
	if !held {
		return provider.Node{}, fmt.Errorf("creating node %q: image %q: %w", spec.Name, spec.Image, provider.ErrNotFound)
	}
	files, err := treeOf(img.content)
	if err != nil {
		return provider.Node{}, fmt.Errorf("creating node %q: %w", spec.Name, err)
	}
	node := &fakeNode{spec: spec, files: files, Node: provider.Node{
		ID: p.nextID("node"), Name: spec.Name, Image: spec.Image, Labels: joinLabels(img.Labels, spec.Labels),
		State: provider.StateCreated, Addrs: slices.Clone(spec.Addrs), Ports: slices.Clone(spec.Ports),
		Created: time.Now(),
	}}
	if spec.Network != "" {
		node.Networks = []string{spec.Network}
	}
	for range spec.Volumes {
		node.volumes = append(node.volumes, p.nextID("volume"))
	}
	p.nodes[spec.Name] = node
	return node.Node, nil
}

// joinLabels gives a node its image's labels below its own, as engines do.
func joinLabels(image, own map[string]string) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, image)
	maps.Copy(labels, own)
	return labels
}

// find gives a node by ID or name; p.mu is held.
func (p *Provider) find(id string) (*fakeNode, error) {
	for _, node := range p.nodes {
		if node.ID == id || node.Name == id {
			return node, nil
		}
	}
	return nil, fmt.Errorf("node %q: %w", id, provider.ErrNotFound)
}

// name gives a node's name by its ID or name, for hooks and records.
func (p *Provider) name(id string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if node, err := p.find(id); err == nil {
		return node.Name
	}
	return id
}

// StartNode implements provider.Provider.
func (p *Provider) StartNode(ctx context.Context, id string) error {
	if err := p.begin(ctx, "StartNode", p.name(id)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	return p.start(node)
}

// start starts a node; p.mu is held.
func (p *Provider) start(node *fakeNode) error {
	switch node.State {
	case provider.StateRunning:
		return nil
	case provider.StatePaused:
		return fmt.Errorf("starting node %q: it is paused", node.Name)
	}
	if err := p.canStart(node); err != nil {
		return fmt.Errorf("starting node %q: %w", node.Name, err)
	}
	node.State, node.ExitCode, node.running, node.stopped = provider.StateRunning, 0, make(chan struct{}), false
	if p.Boot != nil {
		node.log = append(node.log, printed{time.Now(), p.Boot(node.Node)})
	}
	return nil
}

// RestartEngine is an engine that ends and comes back, and its nodes with it: those that
// it is to start again, but for what StopNode has stopped.
func (p *Provider) RestartEngine() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.nodes)) {
		node := p.nodes[name]
		node.halt(0)
		if node.spec.Restart && !node.stopped {
			errs = append(errs, p.start(node))
		}
	}
	return errors.Join(errs...)
}

// canStart looks for what stands in the way of a start; p.mu is held.
func (p *Provider) canStart(node *fakeNode) error {
	for _, name := range node.Networks {
		id := node.NetworkIDs[name]
		if !slices.ContainsFunc(p.networks, func(n provider.Network) bool { return n.Name == name && (id == "" || n.ID == id) }) {
			return fmt.Errorf("network %q: %w", name, provider.ErrNotFound)
		}
	}
	for _, other := range p.nodes {
		if other == node || !other.lives() {
			continue
		}
		for _, port := range node.Ports {
			if slices.ContainsFunc(other.Ports, func(q provider.Port) bool {
				return q.HostPort == port.HostPort && q.HostAddr == port.HostAddr && q.Protocol == port.Protocol
			}) {
				return fmt.Errorf("%w: %d by node %q", provider.ErrPortTaken, port.HostPort, other.Name)
			}
		}
	}
	return nil
}

// StopNode implements provider.Provider.
func (p *Provider) StopNode(ctx context.Context, id string, _ time.Duration) error {
	if err := unless(p.end(ctx, "StopNode", id, 0), provider.ErrNotRunning); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err == nil {
		node.stopped = true
	}
	return err
}

// unless is err, or nil if it is of a kind.
func unless(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

// exitCodes of a node by the signal that ends it; others do nothing.
var exitCodes = map[string]int{"KILL": 137, "SIGKILL": 137, "TERM": 0, "SIGTERM": 0}

// KillNode implements provider.Provider.
func (p *Provider) KillNode(ctx context.Context, id, signal string) error {
	if code, ends := exitCodes[signal]; ends {
		return p.end(ctx, "KillNode", id, code)
	}
	return p.begin(ctx, "KillNode", p.name(id))
}

// end stops a node that runs.
func (p *Provider) end(ctx context.Context, op, id string, code int) error {
	if err := p.begin(ctx, op, p.name(id)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return err
	}
	if !node.halt(code) {
		return fmt.Errorf("%s %q: %w", op, node.Name, provider.ErrNotRunning)
	}
	return nil
}

// lives says whether a node has processes, frozen or not.
func (n *fakeNode) lives() bool {
	return n.State == provider.StateRunning || n.State == provider.StatePaused
}

// halt makes a node that lives a stopped one.
func (n *fakeNode) halt(code int) bool {
	if !n.lives() {
		return false
	}
	n.State, n.ExitCode = provider.StateStopped, code
	close(n.running)
	return true
}

// Logs implements provider.Provider.
func (p *Provider) Logs(ctx context.Context, id string, opt provider.LogOptions, w io.Writer) error {
	if err := p.begin(ctx, "Logs", p.name(id)); err != nil {
		return err
	}
	p.mu.Lock()
	node, err := p.find(id)
	if err != nil {
		p.mu.Unlock()
		return err
	}
	log, running := slices.Clone(node.log), node.running
	follow := opt.Follow && node.lives()
	p.mu.Unlock()
	for _, entry := range log {
		if entry.at.Before(opt.Since) {
			continue
		}
		if _, err := io.WriteString(w, entry.text); err != nil {
			return err
		}
	}
	if !follow {
		return nil
	}
	select {
	case <-running:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("reading the log of node %q: %w", node.Name, context.Cause(ctx))
	}
}
