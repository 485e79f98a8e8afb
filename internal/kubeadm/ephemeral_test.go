package kubeadm

import (
	"strings"
	"testing"
)

func ephemeral(in *Input) { in.Cluster.Ephemeral = true }

const noFsyncTrue = "- name: unsafe-no-fsync\n      value: \"true\"\n"

// ephemeralConfig is kubeadm's configuration, as the first control plane gets it,
// of an ephemeral cluster with a patch.
func ephemeralConfig(t *testing.T, path string, controls int, patch string) string {
	t.Helper()
	in := input("v1.33.13", controls, 0)
	ephemeral(&in)
	in.Cluster.Patches.Kubeadm = []string{patch}
	nodes, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, nodes["demo-control-plane-1"], path)
}

func TestEphemeralIsKeptForNodesThatJoin(t *testing.T) {
	for _, path := range []string{ConfigFile, EtcdConfigFile} {
		if text := ephemeralConfig(t, path, 3, ""); !strings.Contains(text, noFsyncTrue) {
			t.Errorf("%s lacks the flag:\n%s", path, text)
		}
	}
}

func TestPatchesWinOverEphemeral(t *testing.T) {
	for name, test := range map[string]struct{ patch, with, without string }{
		"other flag": {
			"kind: ClusterConfiguration\netcd: {local: {extraArgs: [{name: quota-backend-bytes, value: '1'}]}}",
			noFsyncTrue, "\x00",
		},
		"fsync": {
			"kind: ClusterConfiguration\netcd: {local: {extraArgs: [{name: unsafe-no-fsync, value: 'false'}]}}",
			"- name: unsafe-no-fsync\n      value: \"false\"\n", noFsyncTrue,
		},
		"no flag": {
			"kind: ClusterConfiguration\netcd: {local: {extraArgs: {unsafe-no-fsync: null}}}",
			"local:", "unsafe-no-fsync",
		},
		"external etcd": {
			"kind: ClusterConfiguration\netcd: {external: {endpoints: ['https://192.0.2.1:2379']}}",
			"external:", "local:",
		},
		"long logs": {
			"kind: KubeletConfiguration\ncontainerLogMaxSize: 50Mi",
			"containerLogMaxSize: 50Mi", "containerLogMaxSize: 1Mi",
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := ephemeralConfig(t, ConfigFile, 1, test.patch)
			if !strings.Contains(text, test.with) {
				t.Errorf("lacks %q:\n%s", test.with, text)
			}
			if strings.Contains(text, test.without) {
				t.Errorf("has %q:\n%s", test.without, text)
			}
		})
	}
}
