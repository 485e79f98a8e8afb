package cluster

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/trace"
	"github.com/kluster-project/kluster/provider"
)

// engineLane is the lane of what is about no single node.
const engineLane = "engine"

// tracedProvider records every call of a create as an act, in the lane of the
// node that it is about, with whatever recorder the call's context carries.
type tracedProvider struct {
	provider.Provider
	names sync.Map // node ID to name
}

// traced is m with its engine calls recorded, or m itself if ctx carries no
// recorder.
func (m *Manager) traced(ctx context.Context) *Manager {
	if trace.FromContext(ctx) == nil {
		return m
	}
	traced := *m
	traced.provider = &tracedProvider{Provider: m.provider}
	return &traced
}

func (p *tracedProvider) lane(id string) string {
	if name, ok := p.names.Load(id); ok {
		return name.(string)
	}
	return id
}

func (p *tracedProvider) learn(nodes ...provider.Node) {
	for _, n := range nodes {
		p.names.Store(n.ID, n.Name)
	}
}

func (p *tracedProvider) Host(ctx context.Context) (h provider.Host, err error) {
	span := trace.Start(ctx, trace.Act, engineLane, "describe the host")
	defer func() { span.EndWith(err) }()
	return p.Provider.Host(ctx)
}

func (p *tracedProvider) Images(ctx context.Context, sel provider.Selector) (l []provider.Image, err error) {
	span := trace.Start(ctx, trace.Act, engineLane, "list images")
	defer func() { span.EndWith(err) }()
	return p.Provider.Images(ctx, sel)
}

func (p *tracedProvider) Image(ctx context.Context, ref string) (i provider.Image, err error) {
	span := trace.Start(ctx, trace.Act, engineLane, "look at image "+ref)
	defer func() { span.EndWith(err) }()
	return p.Provider.Image(ctx, ref)
}

func (p *tracedProvider) LoadImage(ctx context.Context, ref string, img v1.Image, progress func(done, total int64)) (err error) {
	span := trace.Start(ctx, trace.Act, engineLane, "load image "+ref)
	defer func() { span.EndWith(err) }()
	return p.Provider.LoadImage(ctx, ref, img, progress)
}

func (p *tracedProvider) Networks(ctx context.Context, sel provider.Selector) (l []provider.Network, err error) {
	span := trace.Start(ctx, trace.Act, engineLane, "list networks")
	defer func() { span.EndWith(err) }()
	return p.Provider.Networks(ctx, sel)
}

func (p *tracedProvider) CreateNetwork(ctx context.Context, spec provider.NetworkSpec) (n provider.Network, err error) {
	span := trace.Start(ctx, trace.Act, engineLane, "create network "+spec.Name)
	defer func() { span.EndWith(err) }()
	return p.Provider.CreateNetwork(ctx, spec)
}

func (p *tracedProvider) Connect(ctx context.Context, id, network string, names []string) (err error) {
	span := trace.Start(ctx, trace.Act, p.lane(id), "connect to network "+network)
	defer func() { span.EndWith(err) }()
	return p.Provider.Connect(ctx, id, network, names)
}

func (p *tracedProvider) Nodes(ctx context.Context, sel provider.Selector) (l []provider.Node, err error) {
	span := trace.Start(ctx, trace.Act, engineLane, "list nodes")
	defer func() { span.EndWith(err); p.learn(l...) }()
	return p.Provider.Nodes(ctx, sel)
}

func (p *tracedProvider) CreateNode(ctx context.Context, spec provider.NodeSpec) (n provider.Node, err error) {
	span := trace.Start(ctx, trace.Act, spec.Name, "create")
	defer func() { span.EndWith(err); p.learn(n) }()
	return p.Provider.CreateNode(ctx, spec)
}

func (p *tracedProvider) StartNode(ctx context.Context, id string) (err error) {
	span := trace.Start(ctx, trace.Act, p.lane(id), "start")
	defer func() { span.EndWith(err) }()
	return p.Provider.StartNode(ctx, id)
}

func (p *tracedProvider) StopNode(ctx context.Context, id string, grace time.Duration) (err error) {
	span := trace.Start(ctx, trace.Act, p.lane(id), "stop")
	defer func() { span.EndWith(err) }()
	return p.Provider.StopNode(ctx, id, grace)
}

func (p *tracedProvider) CopyTo(ctx context.Context, id, dir string, tar io.Reader) (err error) {
	span := trace.Start(ctx, trace.Act, p.lane(id), "copy files to it")
	defer func() { span.EndWith(err) }()
	return p.Provider.CopyTo(ctx, id, dir, tar)
}

func (p *tracedProvider) CopyFrom(ctx context.Context, id, file string) (r io.ReadCloser, err error) {
	span := trace.Start(ctx, trace.Act, p.lane(id), "look for "+file)
	defer func() { span.EndWith(err) }()
	return p.Provider.CopyFrom(ctx, id, file)
}

func (p *tracedProvider) Remove(ctx context.Context, sel provider.Selector) (err error) {
	span := trace.Start(ctx, trace.Act, engineLane, "remove")
	defer func() { span.EndWith(err) }()
	return p.Provider.Remove(ctx, sel)
}

// Exec implements provider.Provider.
func (p *tracedProvider) Exec(ctx context.Context, id string, cmd provider.Command) (err error) {
	span := trace.Start(ctx, trace.Act, p.lane(id), execName(cmd.Args))
	defer func() { span.EndWith(err) }()
	return p.Provider.Exec(ctx, id, cmd)
}

// maxWord is the longest word of a command that says what it does; scripts are longer.
const maxWord = 30

// execName is a command without its flags, in a few words.
func execName(args []string) string {
	var words []string
	for _, a := range args {
		if len(words) < 5 && len(a) <= maxWord && !strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "/") {
			words = append(words, a)
		}
	}
	return "run " + strings.Join(words, " ")
}
