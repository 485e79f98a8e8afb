package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/pki"
	"github.com/kluster-project/kluster/provider"
)

func TestWorkersAreAdded(t *testing.T) {
	g := grow(t, 1)
	for path, text := range map[string]string{
		nodespec.MirrorsDir + "/20-user.json": "[]", nodespec.AuthoritiesDir + "/kluster-1.crt": "authority",
		pullSecrets: `{"auths":{}}`, "/etc/systemd/system/sockets.target.wants/other.socket": "no",
	} {
		if err := g.WriteFile("c-control-plane-1", path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	added, err := g.add(t.Context(), AddOptions{Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	first := g.controlPlanes(t)[0]
	for i, n := range added.Nodes {
		want := fmt.Sprintf("c-worker-%d", i+1)
		addr := first.Addrs[0].Next()
		for range i {
			addr = addr.Next()
		}
		if n.Name != want || !slices.Equal(n.Addresses, []string{addr.String()}) || n.State != "running" || n.Role != "worker" {
			t.Errorf("%+v, want %s at %s", n, want, addr)
		}
		for path, text := range map[string]string{
			nodespec.MirrorsDir + "/20-user.json": "[]", nodespec.AuthoritiesDir + "/kluster-1.crt": "authority",
			pullSecrets: `{"auths":{}}`, pki.Dir + "/ca.key": "", nodespec.BootstrapFile: "",
			"/etc/systemd/system/sockets.target.wants/other.socket": "",
		} {
			if got := g.file(want, path); got != text {
				t.Errorf("%s of %s is %q", path, want, got)
			}
		}
		for _, path := range []string{pki.Dir + "/ca.crt", nodespec.KubeletConf, "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/pki/kubelet.crt"} {
			if g.file(want, path) == "" {
				t.Errorf("%s has no %s", want, path)
			}
		}
		machine := g.machineOf(t, want)
		if machine.Labels[nodespec.LabelCreation] != first.Labels[nodespec.LabelCreation] {
			t.Error("what removes the cluster does not remove it")
		}
		told, err := g.m.told(t.Context(), machine)
		if err != nil || told.Name != want || told.Role != nodespec.RoleWorker || len(told.APIServers) != 1 {
			t.Errorf("%+v, %v", told, err)
		}
	}
	if infos, err := g.m.NodesNow(t.Context(), "c"); err != nil || len(infos) != 4 || len(g.members) != 1 {
		t.Errorf("%d machines, %v, members %v", len(infos), err, g.members)
	}
	if len(g.machinesNow(t)) != 4 {
		t.Error("the lock is left")
	}

	// The next ones get names and addresses that are free then.
	if _, err := g.remove(t.Context(), RemoveOptions{Nodes: []string{"c-worker-1"}}); err != nil {
		t.Fatal(err)
	}
	g.deleted = nil
	added, err = g.add(t.Context(), AddOptions{Count: 2})
	if err != nil || added.Nodes[0].Name != "c-worker-1" || added.Nodes[1].Name != "c-worker-3" {
		t.Errorf("%+v, %v", added, err)
	}
	if got := added.Nodes[0].Addresses[0]; got != first.Addrs[0].Next().String() {
		t.Errorf("address %s", got)
	}
}

func (g *growing) machineOf(t *testing.T, name string) provider.Node {
	t.Helper()
	all := g.machinesNow(t)
	i := slices.IndexFunc(all, func(n provider.Node) bool { return n.Name == name })
	if i < 0 {
		t.Fatalf("no machine %s", name)
	}
	return all[i]
}

func TestControlPlanesAreAdded(t *testing.T) {
	g := grow(t, 1)
	if err := g.WriteFile("c-control-plane-1", nodespec.ReadyFile, []byte("id")); err != nil {
		t.Fatal(err)
	}
	key := g.file("c-control-plane-1", pki.Dir+"/ca.key")
	added, err := g.add(t.Context(), AddOptions{Role: nodespec.RoleControlPlane, Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(added.Notes) > 0 || len(g.members) != 3 {
		t.Errorf("notes %q, members %v", added.Notes, g.members)
	}
	var servers []string
	for _, n := range g.controlPlanes(t) {
		servers = append(servers, netip.AddrPortFrom(n.Addrs[0], 6443).String())
	}
	for _, n := range g.controlPlanes(t) {
		told, err := g.m.told(t.Context(), n)
		if diff := cmp.Diff(servers, told.APIServers); err != nil || diff != "" {
			t.Errorf("%s: %v %s", n.Name, err, diff)
		}
		if g.file(n.Name, pki.Dir+"/ca.key") != key || g.file(n.Name, nodespec.ReadyFile) == "" {
			t.Errorf("%s is no control plane of the cluster", n.Name)
		}
	}
	config := g.file("c-lb", nodespec.LoadBalancerConfig)
	for _, s := range servers {
		if !strings.Contains(config, s) {
			t.Errorf("the load balancer does not know %s", s)
		}
	}
	commands := strings.Join(g.seen(), "\n")
	for _, want := range []string{
		"c-control-plane-2: kluster-node await bootstrap", "c-control-plane-1: /usr/local/bin/kluster-node api-servers " + strings.Join(servers, " "),
		"c-lb: /usr/local/bin/kluster-node balancer",
	} {
		if !strings.Contains(commands, want) {
			t.Errorf("no %q in\n%s", want, commands)
		}
	}
	if strings.Index(commands, "plane-2: kluster-node await") > strings.Index(commands, "plane-3: kluster-node await") {
		t.Error("they do not join in turn")
	}
	added, err = g.add(t.Context(), AddOptions{Role: nodespec.RoleControlPlane})
	if err != nil || len(added.Notes) != 1 {
		t.Errorf("%+v, %v", added, err)
	}
}

// TestNoKeyIsWhereOthersSeeIt: keys and access are files of the node alone.
func TestNoKeyIsWhereOthersSeeIt(t *testing.T) {
	g := grow(t, 1)
	if _, err := g.add(t.Context(), AddOptions{Role: nodespec.RoleControlPlane, Count: 2}); err != nil {
		t.Fatal(err)
	}
	for _, n := range g.machinesNow(t) {
		for k, v := range n.Labels {
			if strings.Contains(v, "PRIVATE") || strings.Contains(v, "client-key") {
				t.Errorf("label %s of %s", k, n.Name)
			}
		}
	}
	for _, c := range g.seen() {
		if strings.Contains(c, "PRIVATE") || strings.Contains(c, "oken") {
			t.Error(c)
		}
	}
}

func TestAddThatFailsLeavesNothing(t *testing.T) {
	for _, broken := range []string{"await bootstrap", "get --raw /readyz", "api-servers", "balancer"} {
		inBubble(t, broken, func(t *testing.T) {
			t.Helper()
			g := grow(t, 1)
			before := g.state(t)
			g.broken = broken
			step := ""
			_, err := g.add(t.Context(), AddOptions{Role: nodespec.RoleControlPlane, Count: 2, Wait: 2e9, OnStep: func(_ context.Context, name string) { step = name }})
			if err == nil {
				t.Fatal("no error")
			}
			if broken == "balancer" || broken == "api-servers" {
				// The way back is told to the same ones, and fails there.
				g.broken = ""
				if _, err := g.add(t.Context(), AddOptions{Count: 1}); err != nil {
					t.Fatal(err)
				}
				if _, err := g.remove(t.Context(), RemoveOptions{Nodes: []string{"c-worker-1"}}); err != nil {
					t.Fatal(err)
				}
			} else if !strings.Contains(err.Error(), "the cluster is as it was") {
				t.Error(err)
			}
			if diff := cmp.Diff(before, g.state(t)); diff != "" {
				t.Errorf("after %q: %s", step, diff)
			}
		})
	}
}

func TestAddInterruptedAtEveryStepLeavesNothing(t *testing.T) {
	for _, role := range []nodespec.Role{nodespec.RoleWorker, nodespec.RoleControlPlane} {
		for _, step := range AddSteps() {
			inBubble(t, string(role)+" "+step, func(t *testing.T) {
				t.Helper()
				g := grow(t, 1)
				before := g.state(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				_, err := g.add(ctx, AddOptions{Role: role, Count: 2, OnStep: func(_ context.Context, name string) {
					if name == step {
						cancel(failure.ErrInterrupted)
					}
				}})
				if !errors.Is(err, failure.ErrInterrupted) {
					t.Errorf("err = %v", err)
				}
				if diff := cmp.Diff(before, g.state(t)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestAddStepsEnd: a step whose node or engine hangs ends, and is taken back.
func TestAddStepsEnd(t *testing.T) {
	for hangs, step := range map[string]string{"env --null": "nodes", "api-servers": "API servers"} {
		inBubble(t, step, func(t *testing.T) {
			t.Helper()
			g := grow(t, 1)
			before, answers := g.state(t), g.Handle
			var hung atomic.Bool // once: the way back is told to the same ones
			g.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
				if strings.Contains(strings.Join(cmd.Args, " "), hangs) && hung.CompareAndSwap(false, true) {
					<-ctx.Done()
					return 1
				}
				return answers(ctx, n, cmd)
			}
			began := time.Now()
			_, err := g.add(t.Context(), AddOptions{Role: nodespec.RoleControlPlane, Wait: time.Minute})
			if !isTimeout(err) || !strings.Contains(err.Error(), step+": ") || time.Since(began) > 2*time.Minute {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			if diff := cmp.Diff(before, g.state(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAddThatWasKilled: what it has left the next change of the cluster removes.
func TestAddThatWasKilled(t *testing.T) {
	g := grow(t, 1)
	before := g.state(t)
	first := g.controlPlanes(t)[0]
	n, err := g.CreateNode(t.Context(), provider.NodeSpec{
		Name: "c-control-plane-2", Image: testImage, Addrs: []netip.Addr{first.Addrs[0].Next()}, Labels: map[string]string{
			nodespec.LabelCluster: "c", nodespec.LabelRole: string(nodespec.RoleControlPlane), nodespec.LabelNode: "c-control-plane-2", addedLabel: "x",
		},
	})
	if err == nil {
		err = g.StartNode(t.Context(), n.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := g.WriteFile(n.ID, nodespec.NodeFile, []byte(`{"name":"c-control-plane-2"}`)); err != nil {
		t.Fatal(err)
	}
	// It has come to be a member that has no name yet.
	g.join(n)
	g.members[1].Name, g.members[1].IsLearner = "", true
	if err := g.m.clearAdded(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, g.state(t)); diff != "" || !slices.Equal(g.deleted, []string{"c-control-plane-2"}) {
		t.Errorf("%s, deleted %q", diff, g.deleted)
	}
}

func TestAddsThatAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		nodes   int
		prepare func(t *testing.T, g *growing)
		opt     AddOptions
		code    int
		err     string
	}{
		"no such role":                   {1, nil, AddOptions{Role: "king"}, failure.CodeUsage, `no role "king"`},
		"too many":                       {1, nil, AddOptions{Count: 33}, failure.CodeUsage, "from 1 to 32 nodes"},
		"too many together":              {1, nil, AddOptions{Count: 32}, failure.CodeUsage, "at most 32 nodes"},
		"an unknown runtime":             {1, nil, AddOptions{Runtime: "rkt"}, failure.CodeUsage, `unknown container runtime "rkt"`},
		"an image that does not hold it": {1, nil, AddOptions{Runtime: "cri-o"}, failure.CodeUsage, "not the container runtime cri-o"},
		"an image that is not there":     {1, nil, AddOptions{Image: "none:1"}, failure.CodeFailed, "the engine does not hold it"},
		"a cluster that is stopped": {
			1, func(t *testing.T, g *growing) { t.Helper(); g.stop(t, "c-control-plane-1") },
			AddOptions{},
			failure.CodeHost, "no control plane of the cluster runs",
		},
		"a worker that is paused": {
			4, func(t *testing.T, g *growing) { t.Helper(); g.pause(t, "c-worker-1") },
			AddOptions{Role: nodespec.RoleControlPlane},
			failure.CodeHost, "paused nodes cannot be told of the API servers: c-worker-1",
		},
		"a load balancer that is paused": {
			3, func(t *testing.T, g *growing) { t.Helper(); g.pause(t, "c-lb") },
			AddOptions{Role: nodespec.RoleControlPlane},
			failure.CodeHost, "paused nodes cannot be told of the API servers: c-lb",
		},
		"a member of etcd that is silent": {
			3, func(_ *testing.T, g *growing) { g.silent["c-control-plane-2"] = true },
			AddOptions{Role: nodespec.RoleControlPlane},
			failure.CodeHost, `the member "c-control-plane-2" of etcd does not answer`,
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			t.Helper()
			g := grow(t, tt.nodes)
			if tt.prepare != nil {
				tt.prepare(t, g)
			}
			before, calls := g.state(t), len(g.seen())
			_, err := g.add(t.Context(), tt.opt)
			if err == nil || failure.Code(err) != tt.code || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("code %d, err = %v", failure.Code(err), err)
			}
			if diff := cmp.Diff(before, g.state(t)); diff != "" || len(g.seen()) > calls {
				t.Errorf("changed: %s %q", diff, g.seen()[calls:])
			}
		})
	}
}

func TestAddressesAreBelowThoseOfServices(t *testing.T) {
	for _, tt := range []struct {
		subnet string
		nodes  int // of the create
		want   int
	}{
		{"10.0.0.0/24", 1, 32}, // .2 to .126 but for one, less than looked at
		{"10.0.0.0/28", 1, 4},  // .3 to .6: .7 is a registry's, from .8 on they are Services'
		{"10.0.0.0/28", 7, 0},  // the last ones have taken of the Services'
	} {
		p := netip.MustParsePrefix(tt.subnet)
		a := &addition{creation: &creation{facts: facts{Subnets: []netip.Prefix{p}}}}
		for i := range tt.nodes {
			n := provider.Node{Name: fmt.Sprint(i), Addrs: []netip.Addr{nodeAddr(p, i)}}
			a.machines, a.had = append(a.machines, n), append(a.had, member{Node: n})
		}
		a.source.told.BalancerAddrs = balancerAddrs([]netip.Prefix{p}, tt.nodes)
		got := a.freeAddrs()
		if len(got) != tt.want {
			t.Errorf("%s with %d nodes: %v", tt.subnet, tt.nodes, got)
		}
		for _, addrs := range got {
			if !addrs[0].Less(a.source.told.BalancerAddrs[0].First) {
				t.Errorf("%s is a Service's", addrs[0])
			}
		}
	}
}

func TestPlansOfNodesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range addPlan() {
		if s.run == nil || s.Why == "" || seen[s.Name] {
			t.Errorf("step %q of an add", s.Name)
		}
		seen[s.Name] = true
	}
	seen = map[string]bool{}
	for _, s := range removePlan() {
		if s.run == nil || s.Why == "" || seen[s.Name] {
			t.Errorf("step %q of a removal", s.Name)
		}
		seen[s.Name] = true
	}
	if !seen[leavesEtcd] {
		t.Error("a removal has no step after which there is no way back")
	}
}
