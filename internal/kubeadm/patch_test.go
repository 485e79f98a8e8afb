package kubeadm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/config"
)

func TestMerge(t *testing.T) {
	tests := []struct{ name, doc, patch, want string }{
		{"adds and replaces", "{a: 1, b: {c: 2}}", "{b: {c: 3, d: 4}, e: [5]}", "{a: 1, b: {c: 3, d: 4}, e: [5]}"},
		{"null removes", "{a: 1, b: {c: 2}}", "{a: null, b: {c: null}}", "{b: {}}"},
		{"nulls in new objects are dropped", "{}", "{a: {b: null, c: 1}}", "{a: {c: 1}}"},
		{"lists are replaced", "{certSANs: [a, b]}", "{certSANs: [c]}", "{certSANs: [c]}"},
		{"an object replaces a scalar", "{a: 1}", "{a: {b: 2}}", "{a: {b: 2}}"},
		{
			"flags are merged by name",
			"{extraArgs: [{name: a, value: '1'}, {name: b, value: '2'}]}",
			"{extraArgs: [{name: a, value: '3'}, {name: c, value: '4'}]}",
			"{extraArgs: [{name: b, value: '2'}, {name: a, value: '3'}, {name: c, value: '4'}]}",
		},
		{
			"a flag given twice stays so",
			"{extraArgs: [{name: a, value: '1'}]}",
			"{extraArgs: [{name: a, value: '2'}, {name: a, value: '3'}]}",
			"{extraArgs: [{name: a, value: '2'}, {name: a, value: '3'}]}",
		},
		{
			"null removes a flag, an empty value does not",
			"{extraArgs: [{name: a, value: '1'}, {name: b, value: '2'}]}",
			"{extraArgs: [{name: a, value: null}, {name: b, value: ''}, {name: c, value: null}, {name: d}]}",
			"{extraArgs: [{name: b, value: ''}, {name: d, value: ''}]}",
		},
		{
			"null removes a flag of a map",
			"{extraArgs: [{name: a, value: '1'}]}", "{extraArgs: {a: null, b: null, c: ''}}",
			"{extraArgs: [{name: c, value: ''}]}",
		},
		{
			"flags as a map, as before v1beta4",
			"{kubeletExtraArgs: [{name: node-ip, value: x}]}", "{kubeletExtraArgs: {v: 4, a: true}}",
			"{kubeletExtraArgs: [{name: node-ip, value: x}, {name: a, value: 'true'}, {name: v, value: '4'}]}",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := parse(t, tt.doc)
			merge(doc, parse(t, tt.patch))
			if diff := cmp.Diff(parse(t, tt.want), clone(doc)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestJSON6902(t *testing.T) {
	const v1beta4, v1beta3 = "v1beta4", "v1beta3"
	tests := []struct{ name, version, doc, patch, want string }{
		{"a list in v1beta4", v1beta4, "{extraArgs: []}", "[{op: add, path: /extraArgs/-, value: {name: a, value: b}}]", "{extraArgs: [{name: a, value: b}]}"},
		{"a map in v1beta3", v1beta3, "{x: {extraArgs: [{name: z, value: w}]}}", `[{"op": "add", "path": "/x/extraArgs/a", "value": "b"}]`, "{x: {extraArgs: [{name: a, value: b}, {name: z, value: w}]}}"},
		{"other lists", v1beta4, "{certSANs: [a]}", "- op: add\n  path: /certSANs/-\n  value: b\n", "{certSANs: [a, b]}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := config.JSON6902{Group: "kubeadm.k8s.io", Version: tt.version, Kind: "ClusterConfiguration", Patch: tt.patch}
			got, err := applyJSON6902(p, parse(t, tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parse(t, tt.want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestKindPatches are patches as kind's users have them.
func TestKindPatches(t *testing.T) {
	in := input("v1.36.3", 1, 1)
	in.Cluster.Nodes[0].Patches.Kubeadm = []string{`
kind: InitConfiguration
skipPhases: [addon/kube-proxy]
nodeRegistration:
  kubeletExtraArgs:
    node-labels: "ingress-ready=true"
`, `
kind: ClusterConfiguration
apiServer:
  extraVolumes: [{name: audit, hostPath: /a, mountPath: /a}]
`}
	in.Cluster.Patches.KubeadmJSON6902 = []config.JSON6902{{
		Group: "kubeadm.k8s.io", Version: "v1beta3", Kind: "ClusterConfiguration",
		Patch: "- {op: add, path: /apiServer/certSANs/-, value: my-hostname}",
	}}
	in.Cluster.Nodes[0].Labels = map[string]string{"tier": "front"}
	nodes, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	first := nodes["demo-control-plane-1"]
	conf := file(t, first, ConfigFile)
	for _, want := range []string{"value: ingress-ready=true,tier=front", "value: 172.28.0.3", "- my-hostname", "name: audit"} {
		if !strings.Contains(conf, want) {
			t.Errorf("no %q in\n%s", want, conf)
		}
	}
	if strings.Contains(conf, "skipPhases") {
		t.Error("skipPhases stayed in the configuration, where the command line's would replace it")
	}
	var commands []string
	for _, c := range first.Commands {
		commands = append(commands, strings.Join(c, " "))
	}
	all := strings.Join(commands, "\n")
	if !strings.Contains(all, "kubeadm init --config "+ConfigFile+" --skip-token-print --skip-phases=addon/kube-proxy,") {
		t.Errorf("the user's skipped phase is not skipped in\n%s", all)
	}
	if flags := file(t, nodes["demo-worker-1"], kubeletDir+"kubeadm-flags.env"); strings.Contains(flags, "ingress") {
		t.Errorf("the first node's patch reached the worker: %s", flags)
	}
}

func TestRenderErrors(t *testing.T) {
	tests := []struct {
		name string
		with func(*Input)
		want string
	}{
		{"too old", func(in *Input) { in.Cluster.KubernetesVersion = "v1.32.13" }, "older than v1.33"},
		{"no version", func(in *Input) { in.Cluster.KubernetesVersion = "latest" }, `"latest" is not of the form`},
		{"no address", func(in *Input) { in.Addrs = nil }, "demo-control-plane-1 has no address"},
		{"no control plane", func(in *Input) { in.Cluster.Nodes = in.Cluster.Nodes[1:] }, "not a control plane"},
		{"broken patch", patch("kind: [\n"), "kubeadm patch 1"},
		{"no kind", patch("a: b\n"), "has no kind"},
		{"unknown kind", patch("kind: Pod\n"), "kind Pod is none of"},
		{"node name", patch("kind: JoinConfiguration\nnodeRegistration: {name: x}\n"), `node demo-worker-1: a patch of JoinConfiguration names the node "x"`},
		{"JSON 6902 that does not apply", func(in *Input) {
			in.Cluster.Patches.KubeadmJSON6902 = []config.JSON6902{{Kind: "KubeletConfiguration", Patch: "- {op: remove, path: /nothing}"}}
		}, "JSON 6902 patch 1, of KubeletConfiguration"},
		{"service range too small", patch("kind: ClusterConfiguration\nnetworking: {serviceSubnet: 10.0.0.0/30}\n"), "too small for cluster DNS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input("v1.36.3", 1, 1)
			tt.with(&in)
			_, err := Render(in)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestNewerVersion: a checkout's version, newer than any known, is like the last.
func TestNewerVersion(t *testing.T) {
	in := input("v1.37.0-alpha.1.42+abcdef", 1, 1)
	if _, err := Render(in); err != nil {
		t.Error(err)
	}
}

// TestRenderKeepsInput: what is rendered is the caller's to keep and to use again.
func TestRenderKeepsInput(t *testing.T) {
	in := input("v1.36.3", 3, 1)
	everything(&in)
	one, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("a second rendering differs:\n%s", diff)
	}
}

func TestLabels(t *testing.T) {
	for key, want := range map[string]bool{
		"tier": true, "example.com/tier": true, "notkubernetes.io/x": true,
		"kubernetes.io/hostname": true, "topology.kubernetes.io/zone": true,
		"node.kubernetes.io/x": true, "a.node.kubernetes.io/x": true, "kubelet.kubernetes.io/x": true,
		"node-role.kubernetes.io/worker": false, "kubernetes.io/role": false,
		"node-restriction.kubernetes.io/x": false, "k8s.io/x": false, "a.k8s.io/x": false,
	} {
		if got := kubeletMaySet(key); got != want {
			t.Errorf("kubeletMaySet(%q) = %v, want %v", key, got, want)
		}
	}
}

func TestReserved(t *testing.T) {
	tests := []struct {
		name   string
		cpus   float64
		memory int64
		want   object
	}{
		{"no limits", 0, 0, object{}},
		{"more than the host has", 16, 64 << 30, object{}},
		{"both", 0.5, 1 << 30, object{"cpu": "7500m", "memory": "33285996544"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &renderer{in: input("v1.36.3", 1, 0)}
			got := r.reserved(config.Node{CPUs: tt.cpus, Memory: tt.memory})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func patch(text string) func(*Input) {
	return func(in *Input) { in.Cluster.Patches.Kubeadm = []string{text} }
}

func parse(t *testing.T, text string) object {
	t.Helper()
	var o object
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}
