package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/configs"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// FuzzParse: whatever a file holds, the answer is a sound cluster or an error
// with places that are in the file.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/kind/*.yaml", "testdata/bad/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	examples, _ := fs.Glob(configs.Examples, "examples/*.yaml")
	for _, file := range examples {
		data, _ := fs.ReadFile(configs.Examples, file)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data, Flags{}, testOptions())
		if err == nil {
			checkSound(t, c)
			return
		}
		checkInvalid(t, err, bytes.Count(data, []byte("\n"))+bytes.Count(data, []byte("\r"))+len(data)/2+2)
	})
}

func checkInvalid(t *testing.T, err error, lines int) {
	t.Helper()
	var invalid *Invalid
	if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
		t.Fatalf("the error is not an *Invalid with problems: %#v", err)
	}
	for _, p := range invalid.Problems {
		if p.Message == "" || p.File != "f" || p.Line < 0 || p.Line > lines {
			t.Errorf("bad problem %+v", p)
		}
	}
}

// checkSound holds a resolved cluster against the rules.
func checkSound(t *testing.T, c *Cluster) {
	t.Helper()
	names := map[string]bool{}
	controlPlanes := 0
	for _, n := range c.Nodes {
		names[n.Name] = true
		if len(n.Name) > maxHostName || !namePattern.MatchString(n.Name) {
			t.Errorf("bad node name %q", n.Name)
		}
		if n.Role == nodespec.RoleControlPlane {
			controlPlanes++
		}
		checkPatches(t, n.Patches)
	}
	if len(names) != len(c.Nodes) || len(names) > MaxNodes || controlPlanes == 0 || controlPlanes == 2 {
		t.Errorf("%d nodes, %d names, %d control planes", len(c.Nodes), len(names), controlPlanes)
	}
	if !c.Networking.APIServerAddress.IsValid() || c.Runtime == "" {
		t.Errorf("something is left open: %+v", c)
	}
	checkDisjoint(t, c.Networking)
	checkPatches(t, c.Patches)
}

func checkDisjoint(t *testing.T, n Networking) {
	t.Helper()
	all := slices.Concat(n.PodSubnets, n.ServiceSubnets, n.NodeSubnets)
	for i, a := range all {
		for _, b := range all[:i] {
			if a.Overlaps(b) {
				t.Errorf("%s overlaps %s", a, b)
			}
		}
	}
	if len(n.PodSubnets) != len(n.ServiceSubnets) || n.PodSubnets[0].Addr().Is4() != n.ServiceSubnets[0].Addr().Is4() {
		t.Errorf("families differ: %v and %v", n.PodSubnets, n.ServiceSubnets)
	}
}

// checkPatches: patches that were accepted are accepted again, as they are.
func checkPatches(t *testing.T, patches Patches) {
	t.Helper()
	p := &problems{}
	again := Patches{
		Kubeadm:            kubeadmPatches(numbered(patches.Kubeadm, "kubeadm"), p),
		Containerd:         containerdPatches(numbered(patches.Containerd, "containerd"), p),
		ContainerdJSON6902: containerdJSONPatches(numbered(patches.ContainerdJSON6902, "json"), p),
	}
	var specs []kindJSON6902
	for _, j := range patches.KubeadmJSON6902 {
		specs = append(specs, kindJSON6902{Group: j.Group, Version: j.Version, Kind: j.Kind, Patch: j.Patch})
	}
	// A list with a version of its own each would lose the older ones.
	for _, spec := range specs {
		again.KubeadmJSON6902 = append(again.KubeadmJSON6902, kubeadmJSONPatches([]kindJSON6902{spec}, "json6902", p)...)
	}
	if err := p.err(); err != nil {
		t.Errorf("refused when read again: %v", err)
	} else if diff := cmp.Diff(patches, again); diff != "" {
		t.Errorf("changed when read again:\n%s", diff)
	}
}

// FuzzPatches: texts of patches are refused, or accepted in a form that stays.
func FuzzPatches(f *testing.F) {
	f.Add("kind: ClusterConfiguration\napiServer: {extraArgs: {v: 4, w: null}}\n---\nkind: KubeletConfiguration\n",
		`[{"op": "add", "path": "/apiServer/extraArgs/v", "value": "2"}]`, "[plugins.cri.containerd]\nsnapshotter = 'native'\n")
	f.Add("apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\nnodeRegistration: {kubeletExtraArgs: [{name: v, value: 4}]}",
		"- {op: move, from: /a~1b, path: /plugins/io.containerd.grpc.v1.cri/enable_cdi}", "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.cni]\nbin_dir = 'a'")
	f.Fuzz(func(t *testing.T, merge, operations, toml string) {
		p := &problems{}
		patches := Patches{
			Kubeadm: kubeadmPatches([]patchText{{"a", merge}}, p),
			KubeadmJSON6902: kubeadmJSONPatches([]kindJSON6902{
				{Kind: "ClusterConfiguration", Patch: operations},
				{Kind: "KubeletConfiguration", Group: "kubelet.config.k8s.io", Version: "v1beta1", Patch: operations},
			}, "b", p),
			Containerd:         containerdPatches([]patchText{{"c", toml}}, p),
			ContainerdJSON6902: containerdJSONPatches([]patchText{{"d", operations}}, p),
		}
		checkPatches(t, patches)
		nodeMask(&Cluster{Patches: patches}, true)
	})
}
