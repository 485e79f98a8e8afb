package cluster

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

const testImage = nodespec.ImageRepository + ":test"

// engine is a fake one that holds a node image, and whose nodes boot but in
// which every command fails.
func engine(t *testing.T) *providertest.Provider {
	t.Helper()
	return engineWith(t, strings.TrimPrefix(nodespec.BootedFile, "/"))
}

// engineWith is engine with an image that holds file.
func engineWith(t *testing.T, file string) *providertest.Provider {
	t.Helper()
	p := providertest.New()
	p.Handle = func(context.Context, provider.Node, provider.Command) int { return 1 }
	manifest, err := json.Marshal(nodespec.Manifest{Kubernetes: "v1.36.3", Runtimes: []string{"containerd"}, Images: []nodespec.ImageRecord{
		{Ref: "registry.k8s.io/pause:3.10.2"},
		{Ref: "example.com/agnhost:1"},
		{Ref: "example.com/busybox:1"},
		{Ref: "docker.io/rancher/local-path-provisioner:v0.0.30"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	img, err := providertest.Image([]byte("node"), map[string]string{
		nodespec.LabelManifest: string(manifest), nodespec.LabelProtocol: fmt.Sprint(nodespec.Protocol),
	})
	if err != nil {
		t.Fatal(err)
	}
	// In the image, so that every node looks booted.
	booted, err := providertest.Layer(providertest.File{Header: tar.Header{
		Name: file, Mode: 0o644, Typeflag: tar.TypeReg,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, booted); err != nil {
		t.Fatal(err)
	}
	if err := p.LoadImage(t.Context(), testImage, img, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

func manager(t *testing.T, p provider.Provider) *Manager {
	t.Helper()
	return New(p, Options{Reporter: status.Discard, CacheDir: t.TempDir()})
}

func wanted(t *testing.T, name string, nodes int) CreateOptions {
	t.Helper()
	cfg, err := config.FromFlags(config.Flags{Name: name, Nodes: &nodes, Image: testImage},
		config.Options{KubernetesVersions: []string{"v1.36.3"}, Runtimes: []string{"containerd"}})
	if err != nil {
		t.Fatal(err)
	}
	return CreateOptions{Config: cfg, Wait: 10 * time.Second, Kubeconfig: filepath.Join(t.TempDir(), "config")}
}

func leftovers(t *testing.T, p provider.Provider, cluster string) []string {
	t.Helper()
	left, err := p.Leftovers(t.Context(), provider.Selector{nodespec.LabelCluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// creators are this process and one of an earlier boot, which is dead.
func creators(t *testing.T) (self, dead creator) {
	t.Helper()
	self, err := thisProcess()
	if err != nil {
		t.Fatal(err)
	}
	dead = self
	dead.Boot = "another"
	return self, dead
}

func TestCreateThatFailsLeavesNothing(t *testing.T) {
	for _, op := range []string{"CreateNetwork", "CreateNode", "CopyTo", "StartNode", "Exec"} {
		t.Run(op, func(t *testing.T) {
			p := engine(t)
			broken := errors.New("broken")
			p.Fail = func(o, _ string) error {
				if o == op {
					return broken
				}
				return nil
			}
			_, err := manager(t, p).Create(t.Context(), wanted(t, "c", 3))
			if !errors.Is(err, broken) {
				t.Fatalf("err = %v", err)
			}
			if left := leftovers(t, p, "c"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestCreateNamesTheStepThatFailed(t *testing.T) {
	p := engine(t)
	_, err := manager(t, p).Create(t.Context(), wanted(t, "c", 1))
	var exec *provider.ExecError
	if !errors.As(err, &exec) || !strings.HasPrefix(err.Error(), "control plane: ") {
		t.Errorf("err = %v", err)
	}
}

// The steps after these need an API; the lifecycle suite walks them all.
func TestCreateInterruptedAtEveryStepBeforeTheAPI(t *testing.T) {
	steps := Steps()
	for _, step := range steps[:slices.Index(steps, "control plane")+1] {
		t.Run(step, func(t *testing.T) {
			p := engine(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			interrupted := errors.New("interrupted")
			opt := wanted(t, "c", 3)
			reached := false
			opt.OnStep = func(_ context.Context, name string) {
				if name == step {
					reached = true
					cancel(interrupted)
				}
			}
			_, err := manager(t, p).Create(ctx, opt)
			if !reached || !errors.Is(err, interrupted) {
				t.Errorf("reached %v, err = %v", reached, err)
			}
			if left := leftovers(t, p, "c"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestCreateThatIsRetained(t *testing.T) {
	p := engine(t)
	opt := wanted(t, "c", 1)
	opt.Retain = true
	p.Fail = func(op, _ string) error {
		if op == "StartNode" {
			return errors.New("broken")
		}
		return nil
	}
	_, err := manager(t, p).Create(t.Context(), opt)
	if err == nil || !strings.Contains(err.Error(), "kluster delete c") {
		t.Errorf("err = %v", err)
	}
	if len(leftovers(t, p, "c")) == 0 {
		t.Error("nothing was kept")
	}
}

func TestCreateOfANameInUseTouchesNothing(t *testing.T) {
	p := engine(t)
	m := manager(t, p)
	for _, n := range []struct {
		name string
		role nodespec.Role
	}{{"c-control-plane-1", nodespec.RoleControlPlane}, {"c-lb", nodespec.RoleLoadBalancer}} {
		if _, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: n.name, Image: testImage, Labels: map[string]string{
			nodespec.LabelCluster: "c", nodespec.LabelCreation: "x", nodespec.LabelRole: string(n.role),
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.WriteFile("c-control-plane-1", nodespec.ReadyFile, nil); err != nil {
		t.Fatal(err)
	}
	before := leftovers(t, p, "c")
	_, err := m.Create(t.Context(), wanted(t, "c", 1))
	var exists *errExists
	if !errors.As(err, &exists) {
		t.Errorf("err = %v", err)
	}
	if diff := cmp.Diff(before, leftovers(t, p, "c")); diff != "" {
		t.Errorf("the cluster that was there changed:\n%s", diff)
	}
}

func TestCreateClearsWhatADeadOneLeft(t *testing.T) {
	p := engine(t)
	self, dead := creators(t)
	for _, tc := range []struct {
		by   creator
		want bool // the name is free
	}{{dead, true}, {self, false}} {
		if _, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: "c-lb", Image: testImage, Labels: map[string]string{
			nodespec.LabelCluster: "c", nodespec.LabelRole: string(nodespec.RoleLoadBalancer),
			nodespec.LabelCreation: tc.by.String(), nodespec.LabelCreator: tc.by.String(),
		}}); err != nil {
			t.Fatal(err)
		}
		err := manager(t, p).clearName(t.Context(), "c")
		if (err == nil) != tc.want {
			t.Errorf("made by %v: err = %v", tc.by, err)
		}
	}
}

func TestTwoCreatesOfOneName(t *testing.T) {
	p := engine(t)
	// Both are past the look at the name before either reserves it.
	var gate sync.WaitGroup
	gate.Add(2)
	errs := make([]error, 2)
	var group sync.WaitGroup
	for i := range errs {
		opt := wanted(t, "c", 1)
		opt.Retain = true
		opt.OnStep = func(_ context.Context, step string) {
			if step == "name" {
				gate.Done()
				gate.Wait()
			}
		}
		group.Go(func() { _, errs[i] = manager(t, p).Create(t.Context(), opt) })
	}
	group.Wait()
	lost := slices.IndexFunc(errs, func(err error) bool { var e *errExists; return errors.As(err, &e) })
	if lost < 0 {
		t.Fatalf("neither lost: %v", errs)
	}
	if !errors.Is(errs[lost], provider.ErrNameTaken) || errors.Is(errs[1-lost], provider.ErrNameTaken) {
		t.Errorf("errs = %v", errs)
	}
	if len(leftovers(t, p, "c")) == 0 {
		t.Error("the loser removed what the winner made")
	}
}

func TestNetworkGoesOnToTheNextSubnet(t *testing.T) {
	p := engine(t)
	free, err := FreeSubnets(nil)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	p.Fail = func(op, _ string) error {
		if op == "CreateNetwork" && taken < 2 {
			taken++
			return provider.ErrSubnetTaken
		}
		return nil
	}
	opt := wanted(t, "c", 1)
	opt.Retain = true
	if _, err := manager(t, p).Create(t.Context(), opt); err == nil {
		t.Fatal("created on a fake engine")
	}
	nets, err := p.Networks(t.Context(), provider.Selector{nodespec.LabelCluster: "c"})
	if err != nil || len(nets) != 1 {
		t.Fatalf("networks %v, %v", nets, err)
	}
	if diff := cmp.Diff([]netip.Prefix{free[2]}, nets[0].Subnets, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestNetworkAskedForIsNotReplaced(t *testing.T) {
	p := engine(t)
	want := netip.MustParsePrefix("10.9.8.0/24")
	if _, err := p.CreateNetwork(t.Context(), provider.NetworkSpec{Name: "other", Subnets: []netip.Prefix{want}}); err != nil {
		t.Fatal(err)
	}
	opt := wanted(t, "c", 1)
	opt.Config.Networking.NodeSubnets = []netip.Prefix{want}
	_, err := manager(t, p).Create(t.Context(), opt)
	if !errors.Is(err, provider.ErrSubnetTaken) {
		t.Errorf("err = %v", err)
	}
	if left := leftovers(t, p, "c"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestImageOfAnotherVersion(t *testing.T) {
	p := engine(t)
	opt := wanted(t, "c", 1)
	opt.Config.KubernetesVersion = "v1.35.4"
	_, err := manager(t, p).Create(t.Context(), opt)
	var input *inputError
	if !errors.As(err, &input) || !strings.Contains(err.Error(), "holds Kubernetes v1.36.3, not v1.35.4") {
		t.Errorf("err = %v", err)
	}
}

func TestCreateThatIsNotReadyInTime(t *testing.T) {
	p := engineWith(t, "never/booted")
	opt := wanted(t, "c", 1)
	opt.Wait = 2 * time.Second // enough to come as far as the boot on a busy machine
	_, err := manager(t, p).Create(t.Context(), opt)
	var late *timeoutError
	if !errors.As(err, &late) || !strings.Contains(err.Error(), "booting c-control-plane-1") {
		t.Errorf("err = %v", err)
	}
	var logs interface{ LogPath() string }
	if !errors.As(err, &logs) || logs.LogPath() == "" {
		t.Errorf("the error names no folder of logs: %v", err)
	} else if _, err := os.Stat(filepath.Join(logs.LogPath(), "nodes", "c-control-plane-1", "engine.json")); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, p, "c"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestRollbackGoesOnWhenTheKubeconfigCannotBeRead(t *testing.T) {
	p := engine(t)
	c := &creation{m: manager(t, p), cfg: wanted(t, "c", 1).Config, id: "x", kubeconfig: t.TempDir(), merged: true}
	if _, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: "c-lb", Image: testImage, Labels: map[string]string{
		nodespec.LabelCluster: "c", nodespec.LabelCreation: "x",
	}}); err != nil {
		t.Fatal(err)
	}
	if err := c.rollback(t.Context()); err == nil {
		t.Error("a folder was taken for a kubeconfig")
	}
	if left := leftovers(t, p, "c"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestDeleteAll(t *testing.T) {
	p := engine(t)
	for _, name := range []string{"a", "b"} {
		if _, err := p.CreateNode(t.Context(), provider.NodeSpec{
			Name: name + "-lb", Image: testImage, Volumes: []string{"/v"},
			Labels: map[string]string{nodespec.LabelCluster: name},
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, net := range []provider.NetworkSpec{
		{Name: "c", Labels: map[string]string{nodespec.LabelCluster: "c"}, Subnets: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}},
		{Name: "foreign", Subnets: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/24")}},
	} {
		if _, err := p.CreateNetwork(t.Context(), net); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: "foreign", Image: testImage}); err != nil {
		t.Fatal(err)
	}
	gone, err := manager(t, p).DeleteAll(t.Context(), filepath.Join(t.TempDir(), "config"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, gone); diff != "" {
		t.Error(diff)
	}
	for name := range map[string]bool{"a": true, "b": true, "c": true} {
		if left := leftovers(t, p, name); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	nodes, err := p.Nodes(t.Context(), nil)
	if err != nil || len(nodes) != 1 || nodes[0].Name != "foreign" {
		t.Errorf("nodes %v, %v", nodes, err)
	}
}

func TestSweepOfDeadBuilds(t *testing.T) {
	p := engine(t)
	self, dead := creators(t)
	for name, by := range map[string]creator{"dead": dead, "alive": self} {
		if _, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: name, Image: testImage, Labels: map[string]string{
			buildLabel: name, nodespec.LabelCreator: by.String(),
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := manager(t, p).sweepBuilds(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes, err := p.Nodes(t.Context(), nil)
	if err != nil || len(nodes) != 1 || nodes[0].Name != "alive" {
		t.Errorf("nodes %v, %v", nodes, err)
	}
}

func TestNodeEnvironment(t *testing.T) {
	c := &creation{cfg: wanted(t, "c", 2).Config}
	node := c.cfg.Nodes[0]
	if env := c.nodeEnv(node); len(env) > 0 {
		t.Errorf("without a proxy: %v", env)
	}
	c.host.ProxyEnv = map[string]string{"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "corp.example"}
	c.facts.Subnets = []netip.Prefix{netip.MustParsePrefix("172.28.0.0/24")}
	env := c.nodeEnv(node)
	if env["HTTPS_PROXY"] != "http://proxy:3128" || env["https_proxy"] != env["HTTPS_PROXY"] || env["no_proxy"] != env["NO_PROXY"] {
		t.Errorf("env = %v", env)
	}
	no := strings.Split(env["NO_PROXY"], ",")
	for _, want := range []string{
		"corp.example", "10.244.0.0/16", "10.96.0.0/16", "172.28.0.0/24", "c-control-plane-1", "c-worker-1", "c-api", "c-lb",
		"localhost", "127.0.0.1", ".svc", ".svc.cluster.local",
	} {
		if !slices.Contains(no, want) {
			t.Errorf("NO_PROXY %v lacks %s", no, want)
		}
	}
}

func TestNoKubeletIsNewer(t *testing.T) {
	for kubelet, ok := range map[string]bool{"v1.36.3": true, "v1.35.4": true, "v1.37.0": false, "what": false} {
		if err := notNewer(kubelet, "v1.36.3"); (err == nil) != ok {
			t.Errorf("%s: %v", kubelet, err)
		}
	}
}

func TestClearingADeadCreateSparesOneThatBegins(t *testing.T) {
	p := engine(t)
	self, dead := creators(t)
	add := func(name string, by creator) {
		if _, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: name, Image: testImage, Labels: map[string]string{
			nodespec.LabelCluster: "c", nodespec.LabelCreation: by.Boot, nodespec.LabelCreator: by.String(),
		}}); err != nil {
			t.Error(err)
		}
	}
	add("c-worker-1", dead)
	var once sync.Once
	p.Fail = func(op, _ string) error {
		if op == "Remove" {
			once.Do(func() { add("c-lb", self) })
		}
		return nil
	}
	if err := manager(t, p).clearName(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	nodes, err := p.Nodes(t.Context(), nil)
	if err != nil || len(nodes) != 1 || nodes[0].Name != "c-lb" {
		t.Errorf("nodes %v, %v", nodes, err)
	}
}
