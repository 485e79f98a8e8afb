package kubeadm

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// keptBy is what a cluster keeps of its configuration, as kubeadm uploads it.
func keptBy(t *testing.T, in Input) (cluster, kubelet []byte) {
	t.Helper()
	r, err := newRenderer(in)
	if err != nil {
		t.Fatal(err)
	}
	expanded, err := r.expandedKubelet()
	if err != nil {
		t.Fatal(err)
	}
	if cluster, err = encode(headed(clusterKind, r.cluster)); err != nil {
		t.Fatal(err)
	}
	if kubelet, err = encode(headed(kubeletKind, expanded)); err != nil {
		t.Fatal(err)
	}
	return cluster, kubelet
}

// joinOf is a node of a cluster as one that is added to it.
func joinOf(t *testing.T, in Input, n config.Node) JoinInput {
	t.Helper()
	cluster, kubelet := keptBy(t, in)
	return JoinInput{
		Cluster: cluster, Kubelet: kubelet, Kubernetes: in.Cluster.KubernetesVersion, Node: n, Addrs: in.Addrs[n.Name],
		DualStack: in.Cluster.Networking.IPFamily == "dual", Runtime: in.Runtimes[n.Name], CA: in.CA,
	}
}

// mountedIn says whether a path is in a folder that programs of the control plane read.
func mountedIn(t *testing.T, in Input, path string) bool {
	t.Helper()
	cluster, _ := keptBy(t, in)
	f, err := ReadCluster(cluster)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(f.Mounted, func(at string) bool { return path == at || strings.HasPrefix(path, at+"/") })
}

// TestJoinIsWhatCreateMakes: a node that is added later has the files that it would have
// had from the create, for every version and with every patch of the whole cluster.
func TestJoinIsWhatCreateMakes(t *testing.T) {
	for name, tt := range map[string]struct {
		in   Input
		with func(*Input)
	}{
		"v1.36": {in: input("v1.36.3", 3, 1)}, "v1.35": {in: input("v1.35.4", 3, 1)},
		"v1.34": {in: input("v1.34.4", 3, 1)}, "v1.33 on cgroup v1": {input("v1.33.13", 3, 1), func(in *Input) { in.CgroupVersion = 1 }},
		"dual stack": {input("v1.36.3", 3, 1), dualStack}, "ephemeral": {input("v1.36.3", 3, 1), ephemeral},
		"runtimes": {input("v1.36.3", 3, 1), runtimes}, "hardened": {input("v1.36.3", 3, 1), hardened},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.with != nil {
				tt.with(&tt.in)
			}
			made, err := Render(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			cluster, _ := keptBy(t, tt.in)
			if facts, err := ReadCluster(cluster); err != nil || !slices.Contains(facts.Mounted, PolicyDir) {
				t.Errorf("%s is not among what the cluster mounts: %q, %v", PolicyDir, facts.Mounted, err)
			}
			for _, n := range tt.in.Cluster.Nodes[1:] {
				got, err := RenderJoin(joinOf(t, tt.in, n))
				if err != nil {
					t.Fatal(err)
				}
				want := made[n.Name]
				// What only the bootstrap of a create reads, and what is taken from another
				// control plane.
				files := slices.DeleteFunc(slices.Clone(want.Files), func(f nodespec.File) bool {
					return f.Path == ConfigFile || f.Path == EtcdConfigFile || mountedIn(t, tt.in, f.Path)
				})
				if diff := cmp.Diff(files, got.Files); diff != "" {
					t.Errorf("%s (-created +added):\n%s", n.Name, diff)
				}
				if diff := cmp.Diff(want.Labels, got.Labels) + cmp.Diff(want.Annotations, got.Annotations); diff != "" {
					t.Errorf("%s: %s", n.Name, diff)
				}
				if (n.Role == nodespec.RoleControlPlane) != (len(got.Commands) > 0 && got.Join.Path == nodespec.JoinFile) {
					t.Errorf("%s: %q, %+v", n.Name, got.Commands, got.Join)
				}
			}
		})
	}
}

func TestJoinOfAControlPlane(t *testing.T) {
	in := input("v1.36.3", 3, 1)
	got, err := RenderJoin(joinOf(t, in, in.Cluster.Nodes[1]))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"kind: JoinConfiguration", "kubeConfigPath: /etc/kluster/join.conf", "advertiseAddress: 172.28.0.4", "bindPort: 6443",
		"key: node-role.kubernetes.io/control-plane", "name: demo-control-plane-2",
	} {
		if !strings.Contains(string(got.Join.Data), want) {
			t.Errorf("no %q in\n%s", want, got.Join.Data)
		}
	}
	if strings.Contains(string(got.Join.Data), "oken") || got.Join.Mode != 0o600 {
		t.Errorf("mode %o:\n%s", got.Join.Mode, got.Join.Data)
	}
	last := got.Commands[len(got.Commands)-1]
	if !slices.Contains(last, nodespec.JoinConf) {
		t.Errorf("the access stays: %q", last)
	}
	// Each phase is done once.
	for _, phase := range slices.Concat(joinSkipFirst, []string{"control-plane-prepare/certs", "control-plane-prepare/kubeconfig", "etcd-join"}) {
		n := 0
		for _, c := range got.Commands[1:3] {
			if skipped, _ := strings.CutPrefix(c[len(c)-1], "--skip-phases="); !slices.Contains(strings.Split(skipped, ","), phase) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("phase %s is done %d times", phase, n)
		}
	}
}

func TestJoinOfWhatIsNoCluster(t *testing.T) {
	in := input("v1.36.3", 1, 1)
	for name, spoil := range map[string]func(*JoinInput){
		"another kind":   func(j *JoinInput) { j.Cluster = j.Kubelet },
		"no YAML":        func(j *JoinInput) { j.Kubelet = []byte("\t") },
		"no version":     func(j *JoinInput) { j.Kubernetes = "" },
		"an old version": func(j *JoinInput) { j.Kubernetes = "v1.20.0" },
	} {
		j := joinOf(t, in, in.Cluster.Nodes[1])
		spoil(&j)
		if _, err := RenderJoin(j); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReadCluster(t *testing.T) {
	got, err := ReadCluster([]byte(`kind: ClusterConfiguration
kubernetesVersion: v1.36.3
etcd: {external: {endpoints: ["https://e:2379"]}}
apiServer:
  extraVolumes:
  - {name: a, hostPath: /etc/kubernetes/audit.yaml, mountPath: /a, readOnly: true}
  - {name: b, hostPath: /var/log/audit, mountPath: /b}
scheduler:
  extraVolumes:
  - {name: c, hostPath: /etc/kluster/scheduler, mountPath: /c, readOnly: true}
`))
	want := ClusterFacts{Kubernetes: "v1.36.3", ExternalEtcd: true, Mounted: []string{"/etc/kubernetes/audit.yaml", "/etc/kluster/scheduler"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := ReadCluster([]byte("\t")); err == nil {
		t.Error("no error")
	}
}
