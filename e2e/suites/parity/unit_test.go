package parity_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What follows tests the comparison itself, without a cluster.

func TestNormaliser(t *testing.T) {
	u := clusterUnderTest{name: "it-x", nodes: []bareNode{
		{Name: "it-x-control-plane-1", Addr: netip.MustParseAddr("10.0.0.2")},
		{Name: "it-x-worker-1", Addr: netip.MustParseAddr("10.0.0.21")},
	}}
	for name, tt := range map[string]struct{ in, want string }{
		"names":           {"it-x-worker-1 of it-x", "CLUSTER-worker-1 of CLUSTER"},
		"whole addresses": {"https://10.0.0.2:6443,10.0.0.21,10.0.0.213", "https://ADDRESS-OF-control-plane-1:6443,ADDRESS-OF-worker-1,10.0.0.213"},
		"tokens":          {"--token abcdef.0123456789abcdef", "--token TOKEN"},
		"signatures":      {"jws-kubeconfig-abcdef: eyJhb..xyz", "jws-kubeconfig-ID: SIGNATURE"},
		"dated files":     {"pki/kubelet-client-2026-01-02-03-04-05.pem", "pki/kubelet-client-DATE.pem"},
		"keys in base64":  {"key: LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0tCkFBQUEKLS0tLS1FTkQgRUMgUFJJVkFURSBLRVktLS0tLQo=", "key: EC PRIVATE KEY"},
		"keys in JSON":    {`"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"`, `"EC PRIVATE KEY\n"`},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, u.normaliser().text(tt.in)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	want := snapshot{
		"same": "a", "changed": "a\nb", "missing": "m",
		"control-plane-1 /etc/kubernetes/manifests/etcd.yaml": "x\n- --initial-cluster=one",
	}
	got := snapshot{
		"same": "a", "changed": "a\nc", "extra": "e", "clusterrole kluster:network": "r",
		"control-plane-1 /etc/kubernetes/manifests/etcd.yaml": "x\n- --initial-cluster=one,two",
	}
	diff, used := differences(want, got)
	var heads []string
	for _, d := range diff {
		head, _, _ := strings.Cut(d, "\n")
		heads = append(heads, head)
	}
	if d := cmp.Diff([]string{
		"changed (-kubeadm +kluster):", "extra: kluster makes it, kubeadm does not:", "missing: kubeadm makes it, kluster does not:",
	}, heads); d != "" {
		t.Error(d)
	}
	if len(used) != 2 {
		t.Errorf("allowances used: %v, want that of the role and that of etcd's members", used)
	}
}
