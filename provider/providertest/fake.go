// Package providertest holds an in-memory provider.Provider for the tests of
// what is built on providers, and the contract that every provider must pass.
package providertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/provider"
)

// Provider is an engine in memory. Set its fields before use. Its nodes keep
// files (see ReadFile) and run nothing but what Handle does.
type Provider struct {
	// HostInfo is what Host gives.
	HostInfo provider.Host
	// Fail, if not nil, is asked before every operation ("CreateNode") on an
	// object (its name, or "" for lists); an error makes the operation fail.
	Fail func(op, object string) error
	// Handle, if not nil, runs the commands of Exec and gives their exit codes.
	Handle func(ctx context.Context, node provider.Node, cmd provider.Command) int
	// Local: layers of images can be read by several at once.
	Local bool
	// Uses, if not nil, gives what a running node uses.
	Uses func(node provider.Node) provider.Use
	// Boot, if not nil, gives what a node prints when it starts.
	Boot func(node provider.Node) string

	// Auth is what Credentials gives, by registry.
	Auth map[string]provider.Credentials

	mu       sync.Mutex
	serial   int
	calls    []string
	images   map[string]*fakeImage // by reference
	networks []provider.Network
	nodes    map[string]*fakeNode // by name
}

type fakeImage struct {
	provider.Image
	content v1.Image
}

type fakeNode struct {
	provider.Node
	spec    provider.NodeSpec
	files   fileTree
	log     []printed
	volumes []string
	running chan struct{} // closed when the node stops
	stopped bool          // StopNode was the last that was asked for
}

// printed is what a node's first process printed at a time.
type printed struct {
	at   time.Time
	text string
}

var _ provider.Provider = (*Provider)(nil)

// New gives an engine that holds nothing.
func New() *Provider {
	return &Provider{
		HostInfo: provider.Host{
			Engine: "Fake Engine 1.0.0", EngineVersion: "1.0.0", APIVersion: "1.41", Local: true,
			Endpoint: "fake://", Kernel: "6.1.0", Arch: "amd64", CPUs: 4, Memory: 8 << 30,
			CgroupVersion: 2, StorageDriver: "overlay2", DataRoot: "/var/lib/fake", DataFree: 100 << 30,
		},
		images: map[string]*fakeImage{},
		nodes:  map[string]*fakeNode{},
	}
}

// Calls gives the operations so far in their order, as "CreateNode a".
func (p *Provider) Calls() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// begin records an operation and says whether it may go on.
func (p *Provider) begin(ctx context.Context, op, object string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %q: %w", op, object, err)
	}
	p.mu.Lock()
	call := op
	if object != "" {
		call += " " + object
	}
	p.calls = append(p.calls, call)
	p.mu.Unlock()
	if p.Fail == nil {
		return nil
	}
	if err := p.Fail(op, object); err != nil {
		return fmt.Errorf("%s %q: %w", op, object, err)
	}
	return nil
}

// nextID makes an ID; p.mu is held.
func (p *Provider) nextID(kind string) string {
	p.serial++
	return fmt.Sprintf("%s-%d", kind, p.serial)
}

// Host implements provider.Provider.
func (p *Provider) Host(ctx context.Context) (provider.Host, error) {
	return p.HostInfo, p.begin(ctx, "Host", "")
}

// matches says whether labels fit sel.
func matches(labels map[string]string, sel provider.Selector) bool {
	for name, want := range sel {
		if value, ok := labels[name]; !ok || want != "" && value != want {
			return false
		}
	}
	return true
}
