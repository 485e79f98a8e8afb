package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var runtimeOptions = Options{
	KubernetesVersions: []string{"v1.36.3"},
	Runtimes:           []string{"containerd", "cri-dockerd", "cri-o"},
	OCIRuntimes:        []string{"runc", "crun"},
}

const mixedRuntimes = `apiVersion: kluster.dev/v1alpha1
kind: Cluster
name: m
runtime: cri-dockerd
nodes:
- {role: control-plane}
- {role: worker, runtime: cri-o, ociRuntime: crun}
- {role: worker, runtime: cri-o, image: "mine:1"}
`

// runtimesOf are the runtimes of a cluster's nodes, as "cri-o/crun".
func runtimesOf(c *Cluster) []string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.Runtime+"/"+n.OCIRuntime)
	}
	return all
}

func TestEachNodeItsRuntime(t *testing.T) {
	c, err := Parse("f", []byte(mixedRuntimes), Flags{}, runtimeOptions)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"cri-dockerd/runc", "cri-o/crun", "cri-o/runc"}, runtimesOf(c)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"cri-dockerd", "cri-o"}, c.Runtimes()); diff != "" {
		t.Error("of the image:", diff)
	}
}

func TestRuntimeFlagsAreForAllNodes(t *testing.T) {
	c, err := Parse("f", []byte(mixedRuntimes), Flags{Runtime: "containerd", OCIRuntime: "crun"}, runtimeOptions)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"containerd/crun", "containerd/crun", "containerd/crun"}, runtimesOf(c)); diff != "" {
		t.Error(diff)
	}
}

func TestBadRuntimeOfANode(t *testing.T) {
	bad := strings.Replace(mixedRuntimes, "runtime: cri-o, ociRuntime: crun", "runtime: crio, ociRuntime: curn", 1)
	_, err := Parse("f", []byte(bad), Flags{}, runtimeOptions)
	if err == nil {
		t.Fatal("took runtimes that there are not")
	}
	for _, want := range []string{"nodes[1].runtime", `"crio"`, "nodes[1].ociRuntime", `did you mean "crun"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
}
