package providertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest/program"
)

// contractLabel is on all that the contract makes.
const contractLabel = "io.kluster.test"

// Options of the contract.
type Options struct {
	// Prefix starts the name of everything that is made.
	Prefix string
	// Image is what nodes are made of; see Image.
	Image v1.Image
}

// Contract tests what package provider promises of every provider. It makes
// nodes and networks of its own, looks at no others, and removes them.
func Contract(t *testing.T, p provider.Provider, opts Options) {
	t.Helper()
	s := &suite{p: p, image: opts.Image, prefix: opts.Prefix + randomText() + "-"}
	s.ref = s.prefix + "image:1"
	if err := p.LoadImage(t.Context(), s.ref, opts.Image, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.RemoveImage(context.WithoutCancel(t.Context()), s.ref); err != nil {
			t.Error(err)
		}
	})
	for _, test := range []struct {
		name string
		run  func(s *suite, t *testing.T)
	}{
		{"Host", (*suite).TestHost},
		{"Images", (*suite).TestImages},
		{"ReadImage", (*suite).TestReadImage},
		{"Networks", (*suite).TestNetworks},
		{"NetworkClashes", (*suite).TestNetworkClashes},
		{"Connect", (*suite).TestConnect},
		{"ConnectRemade", (*suite).TestConnectRemade},
		{"NodeLife", (*suite).TestNodeLife},
		{"Restart", (*suite).TestRestart},
		{"Pause", (*suite).TestPause},
		{"NodeClashes", (*suite).TestNodeClashes},
		{"NodeMissing", (*suite).TestNodeMissing},
		{"Ports", (*suite).TestPorts},
		{"Copy", (*suite).TestCopy},
		{"Logs", (*suite).TestLogs},
		{"Use", (*suite).TestUse},
		{"Exec", (*suite).TestExec},
		{"ExecErrors", (*suite).TestExecErrors},
		{"ExecCancel", (*suite).TestExecCancel},
		{"Remove", (*suite).TestRemove},
		{"Cancelled", (*suite).TestCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(s.fresh(t, test.name), t) })
	}
}

// suite is what one test of the contract works with. Its Test methods are the
// tests; unlike its other methods they are no helpers, so a failure shows
// their own line.
type suite struct {
	p           provider.Provider
	image       v1.Image
	prefix, ref string
	labels      map[string]string
}

// fresh gives a suite with labels of its own, whose objects go with the test.
func (s *suite) fresh(t *testing.T, name string) *suite {
	t.Helper()
	own := *s
	own.prefix = s.prefix + strings.ToLower(name) + "-"
	own.labels = map[string]string{contractLabel: own.prefix}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := s.p.Remove(ctx, own.selector()); err != nil {
			t.Errorf("cleaning up: %v", err)
		}
	})
	return &own
}

func (s *suite) selector() provider.Selector { return provider.Selector(s.labels) }

// spec is a node with no network of its own.
func (s *suite) spec(name string) provider.NodeSpec {
	return provider.NodeSpec{Name: s.prefix + name, Image: s.ref, Labels: s.labels}
}

// create makes a node.
func (s *suite) create(t *testing.T, spec provider.NodeSpec) provider.Node {
	t.Helper()
	node, err := s.p.CreateNode(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// start makes and starts a node.
func (s *suite) start(t *testing.T, name string) provider.Node {
	t.Helper()
	node := s.create(t, s.spec(name))
	if err := s.p.StartNode(t.Context(), node.ID); err != nil {
		t.Fatal(err)
	}
	return node
}

// node looks up the only node of that name.
func (s *suite) node(t *testing.T, name string) provider.Node {
	t.Helper()
	nodes, err := s.p.Nodes(t.Context(), s.selector())
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		if node.Name == s.prefix+name {
			return node
		}
	}
	t.Fatalf("there is no node %q", s.prefix+name)
	return provider.Node{}
}

// output runs the contract's program in a node.
func (s *suite) output(t *testing.T, id string, args ...string) string {
	t.Helper()
	var stdout bytes.Buffer
	cmd := provider.Command{Args: append([]string{program.Path}, args...), Stdout: &stdout}
	if err := s.p.Exec(t.Context(), id, cmd); err != nil {
		t.Fatal(err)
	}
	return stdout.String()
}

// network makes a network with a subnet that nobody has.
func (s *suite) network(t *testing.T, name string) (provider.Network, provider.NetworkSpec) {
	t.Helper()
	for third := range byte(200) {
		spec := s.networkSpec(name, third)
		n, err := s.p.CreateNetwork(t.Context(), spec)
		if errors.Is(err, provider.ErrSubnetTaken) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return n, spec
	}
	t.Fatal("no subnet is free")
	return provider.Network{}, provider.NetworkSpec{}
}

func (s *suite) networkSpec(name string, third byte) provider.NetworkSpec {
	return provider.NetworkSpec{
		Name: s.prefix + name, Labels: s.labels,
		Subnets: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 213, third, 0}), 24)},
		Dynamic: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 213, third, 128}), 25)},
	}
}

// wantIs fails the test unless err is of kind.
func wantIs(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got error %v, want one that is %q", err, kind)
	}
}

func randomText() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}
