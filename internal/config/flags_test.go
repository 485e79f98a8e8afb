package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func number(n int) *int { return &n }

// shape writes nodes as names, with "!" for a taint that keeps pods off, and
// "x" where load balancers are kept off.
func shape(c *Cluster) string {
	var out []string
	for _, n := range c.Nodes {
		s := strings.TrimPrefix(n.Name, c.Name+"-")
		if len(n.Taints) > 0 {
			s += "!"
		}
		if n.KeepExcludeLB {
			s += "x"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestNodeCounts(t *testing.T) {
	for _, test := range []struct {
		name  string
		flags Flags
		want  string
	}{
		{"default", Flags{}, "control-plane-1"},
		{"nodes 1", Flags{Nodes: number(1)}, "control-plane-1"},
		{"nodes 2", Flags{Nodes: number(2)}, "control-plane-1 worker-1"},
		{"nodes 3", Flags{Nodes: number(3)}, "control-plane-1 control-plane-2 control-plane-3"},
		{"nodes 5", Flags{Nodes: number(5)}, "control-plane-1 control-plane-2 control-plane-3 worker-1 worker-2"},
		{"workers", Flags{Workers: number(1)}, "control-plane-1!x worker-1"},
		{"no workers", Flags{ControlPlanes: number(3), Workers: number(0)}, "control-plane-1 control-plane-2 control-plane-3"},
		{"both", Flags{ControlPlanes: number(3), Workers: number(1)}, "control-plane-1!x control-plane-2!x control-plane-3!x worker-1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := FromFlags(test.flags, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			if got := shape(c); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestMostNodes(t *testing.T) {
	for _, f := range []Flags{{Nodes: number(32)}, {ControlPlanes: number(1), Workers: number(31)}} {
		c, err := FromFlags(f, testOptions())
		if err != nil || len(c.Nodes) != 32 {
			t.Errorf("got %v", err)
		}
	}
}

func TestBadFlags(t *testing.T) {
	withNodes := kluster("nodes:\n- role: control-plane\n")
	for _, test := range []struct {
		name  string
		flags Flags
		file  string // none when ""
		want  string
	}{
		{"no nodes", Flags{Nodes: number(0)}, "", "--nodes: must be from 1 to 32, not 0"},
		{"too many", Flags{Nodes: number(99)}, "", "--nodes: must be from 1 to 32, not 99"},
		{"negative", Flags{Workers: number(-1)}, "", "--workers: must be from 0 to 31, not -1"},
		{"too many in all", Flags{ControlPlanes: number(3), Workers: number(30)}, "", "--control-planes: a cluster has at most 32 nodes, not 33"},
		{"two", Flags{ControlPlanes: number(2)}, "", "--control-planes: two control planes are not supported: etcd needs both of them, so the loss of either one stops the cluster (use 1 or 3)"},
		{"none", Flags{ControlPlanes: number(0)}, "", "--control-planes: must be from 1 to 32, not 0"},
		{"shorthand and count", Flags{Nodes: number(3), ControlPlanes: number(1)}, "", "--nodes: cannot be given together with --control-planes (leave out one of them)"},
		{"file has nodes", Flags{Nodes: number(3)}, withNodes, "--nodes: the configuration file lists nodes too (leave out the flag, or the file's nodes)"},
		{"file has nodes, workers", Flags{Workers: number(3)}, withNodes, "--workers: the configuration file lists nodes too (leave out the flag, or the file's nodes)"},
		{"name", Flags{Name: "a_b"}, kluster(""), `--name: "a_b" is not a cluster name: it must be lower case letters, digits and "-", with a letter or digit at both ends (did you mean "a-b"?)`},
		{"long name", Flags{Name: strings.Repeat("a", 48)}, "", "--name: must be at most 47 characters here, not 48 (node names must fit 63 characters)"},
		{"long name, two digits", Flags{Name: strings.Repeat("a", 47), ControlPlanes: number(11)}, "", "--name: must be at most 46 characters here, not 47 (node names must fit 63 characters)"},
		{"version", Flags{KubernetesVersion: "v1.36.5"}, "", `--kubernetes-version: Kubernetes v1.36.5 is not known (did you mean "v1.36.3"?)`},
		{"version word", Flags{KubernetesVersion: "latest"}, "", `--kubernetes-version: "latest" is not a Kubernetes version (write it as v1.36.3)`},
		{"runtime", Flags{Runtime: "containrd"}, "", `--runtime: no container runtime "containrd" (did you mean "containerd"?)`},
		{"image and version", Flags{Image: "kluster/node:v1.35.4-0123456789ab", KubernetesVersion: "v1.36.3"}, "", "--image: asks for Kubernetes v1.35.4, but --kubernetes-version for v1.36.3 (all nodes of a cluster run one version)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var err error
			if test.file == "" {
				_, err = FromFlags(test.flags, testOptions())
			} else {
				_, err = Parse("f", []byte(test.file), test.flags, testOptions())
			}
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFlagsOverFile(t *testing.T) {
	file := kluster("name: a\nkubernetesVersion: 1.34\nruntime: containerd\nnodes:\n- image: mine:1\n")
	c, err := Parse("f", []byte(file), Flags{Name: "b", KubernetesVersion: "v1.35", Image: "mine:2"}, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.Name, c.KubernetesVersion, c.Image, c.Nodes[0].Image, c.Nodes[0].Name}
	if diff := cmp.Diff([]string{"b", "v1.35.4", "mine:2", "", "b-control-plane-1"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestSwitches: what a file turns on or off a flag can turn back.
func TestSwitches(t *testing.T) {
	for field, of := range map[string]struct {
		flag func(*bool) Flags
		got  func(*Cluster) bool
	}{
		"ephemeral": {func(v *bool) Flags { return Flags{Ephemeral: v} }, func(c *Cluster) bool { return c.Ephemeral }},
		"hardened":  {func(v *bool) Flags { return Flags{Hardened: v} }, func(c *Cluster) bool { return c.Hardened }},
	} {
		yes, no := true, false
		for name, test := range map[string]struct {
			file string
			flag *bool
			want bool
		}{
			"nothing":            {kluster(""), nil, false},
			"file":               {kluster(field + ": true\n"), nil, true},
			"file says no":       {kluster(field + ": false\n"), nil, false},
			"flag":               {kluster(""), &yes, true},
			"flag over file":     {kluster(field + ": false\n"), &yes, true},
			"flag takes it back": {kluster(field + ": true\n"), &no, false},
			"flag, kind's file":  {"apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\n", &yes, true},
		} {
			c, err := Parse("f", []byte(test.file), of.flag(test.flag), testOptions())
			if err != nil || of.got(c) != test.want {
				t.Errorf("%s, %s: %+v, %v", field, name, c, err)
			}
		}
	}
}

func TestNodeName(t *testing.T) {
	if got := NodeName("a", nodespec.RoleWorker, 12); got != "a-worker-12" {
		t.Error(got)
	}
}
