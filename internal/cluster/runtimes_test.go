package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// twoRuntimes is the manifest of an image with two container runtimes and both OCI runtimes.
var twoRuntimes = nodespec.Manifest{
	Runtimes:   []string{"cri-dockerd", "cri-o"},
	Components: []nodespec.ComponentRecord{{Name: "runc"}, {Name: "crun"}, {Name: "kubelet"}},
}

func TestRunsOf(t *testing.T) {
	for _, tc := range []struct {
		node    config.Node
		classes []string
		err     string
	}{
		{config.Node{Runtime: "cri-o", OCIRuntime: "crun"}, []string{"runc", "crun"}, ""},
		{config.Node{Runtime: "cri-dockerd"}, nil, ""},
		{config.Node{Runtime: "containerd"}, nil, "kluster build node-image --runtime containerd"},
		{config.Node{Runtime: "cri-o", OCIRuntime: "kata"}, nil, "unknown OCI runtime"},
	} {
		got, err := runsOf(tc.node, twoRuntimes)
		if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%+v: %v", tc.node, err)
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(tc.classes, got.classes()); diff != "" {
			t.Errorf("%+v: %s", tc.node, diff)
		}
	}
	old := nodespec.Manifest{Runtimes: []string{"containerd"}, Components: []nodespec.ComponentRecord{{Name: "runc"}}}
	if _, err := runsOf(config.Node{Runtime: "containerd", OCIRuntime: "crun"}, old); err == nil || !strings.Contains(err.Error(), "crun") {
		t.Errorf("an image without crun: %v", err)
	}
}

func TestClassesOfSomeNode(t *testing.T) {
	c := &creation{cfg: &config.Cluster{Nodes: []config.Node{{Name: "a"}, {Name: "b"}}}, runs: map[string]runs{}}
	docker, err := cri.Get("cri-dockerd")
	if err != nil {
		t.Fatal(err)
	}
	c.runs["a"] = runs{runtime: docker, oci: []string{"runc", "crun"}}
	c.runs["b"] = runs{runtime: docker, oci: []string{"runc"}}
	if got := c.classes(); len(got) != 0 {
		t.Errorf("classes that no node can run: %v", got)
	}
	crio, err := cri.Get("cri-o")
	if err != nil {
		t.Fatal(err)
	}
	c.runs["b"] = runs{runtime: crio, oci: []string{"runc"}}
	if diff := cmp.Diff([]string{"runc"}, c.classes()); diff != "" {
		t.Error(diff)
	}
}

func TestEachNodeHasItsRuntime(t *testing.T) {
	machine := func(name, runtime string, role nodespec.Role) provider.Node {
		label, err := facts{Runtime: runtime}.label()
		if err != nil {
			t.Fatal(err)
		}
		return provider.Node{Name: name, Labels: map[string]string{nodespec.LabelSpec: label, nodespec.LabelRole: string(role)}}
	}
	machines := []provider.Node{
		machine("lb", "containerd", nodespec.RoleLoadBalancer),
		machine("a", "cri-o", nodespec.RoleControlPlane), machine("b", "cri-dockerd", nodespec.RoleWorker), machine("c", "cri-o", nodespec.RoleWorker),
	}
	m := manager(t, engine(t))
	if got := runtimesOf(m.describe(t.Context(), machines)); got != "cri-dockerd,cri-o" {
		t.Errorf("runtimes %q", got)
	}
	runtime, err := m.runtimeOf(t.Context(), machines[2])
	if err != nil || runtime.Name != "cri-dockerd" {
		t.Errorf("%s, %v", runtime.Name, err)
	}
	if info := nodeInfo(machines[1]); info.Runtime != "cri-o" {
		t.Errorf("node %+v", info)
	}
	if info := nodeInfo(machines[0]); info.Runtime != "" {
		t.Errorf("a load balancer runs no containers: %+v", info)
	}
}
