package kubeadm

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/nodespec"
)

var testKey = bytes.Repeat([]byte{7}, EncryptionKeySize)

func hardened(in *Input) { in.Cluster.Hardened, in.EncryptionKey = true, testKey }

// apiServerOf renders a cluster with a patch and gives kube-apiserver's part of the
// first control plane's ClusterConfiguration.
func apiServerOf(t *testing.T, with func(*Input), patch string) object {
	t.Helper()
	in := input("v1.36.3", 1, 0)
	with(&in)
	in.Cluster.Patches.Kubeadm = []string{patch}
	nodes, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	for doc := range strings.SplitSeq(file(t, nodes["demo-control-plane-1"], ConfigFile), "---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		if str(o, "kind") == string(clusterKind) {
			return child(o, "apiServer")
		}
	}
	t.Fatal("no ClusterConfiguration")
	return nil
}

func mountPaths(api object) []string {
	var paths []string
	list, _ := api["extraVolumes"].([]any)
	for _, v := range list {
		paths = append(paths, str(v.(object), "mountPath"))
	}
	return paths
}

// TestUsersAuditWins: what a user says of the audit log stands, and folders are mounted
// as far as a flag names a file in them.
func TestUsersAuditWins(t *testing.T) {
	const kinds = `kind: ClusterConfiguration
apiServer:
  extraArgs: {audit-log-path: /var/log/kubernetes/mine.log, audit-policy-file: /etc/kubernetes/policies/mine.yaml}
  extraVolumes:
  - {name: audit-policies, hostPath: /etc/kubernetes/policies, mountPath: /etc/kubernetes/policies, readOnly: true, pathType: DirectoryOrCreate}
  - {name: audit-logs, hostPath: /var/log/kubernetes, mountPath: /var/log/kubernetes, pathType: DirectoryOrCreate}
`
	none := func(*Input) {}
	for name, test := range map[string]struct {
		with   func(*Input)
		patch  string
		policy string
		paths  []string
	}{
		"nothing":             {none, "", auditPolicyFile, []string{PolicyDir, AuditDir}},
		"kind's example":      {none, kinds, "/etc/kubernetes/policies/mine.yaml", []string{"/etc/kubernetes/policies", AuditDir}},
		"kind's and hardened": {hardened, kinds, "/etc/kubernetes/policies/mine.yaml", []string{"/etc/kubernetes/policies", AuditDir, PolicyDir}},
		"volumes of others":   {none, "kind: ClusterConfiguration\napiServer: {extraVolumes: [{name: x, hostPath: /x, mountPath: /x}]}", auditPolicyFile, []string{"/x", PolicyDir, AuditDir}},
		"to its output":       {none, "kind: ClusterConfiguration\napiServer: {extraArgs: {audit-log-path: '-'}}", auditPolicyFile, []string{PolicyDir}},
		"no audit":            {none, "kind: ClusterConfiguration\napiServer: {extraArgs: {audit-log-path: null, audit-policy-file: null}}", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			api := apiServerOf(t, test.with, test.patch)
			args, _ := argsOf(api["extraArgs"])
			if policy, _ := valueOf(args, "audit-policy-file"); policy != test.policy {
				t.Errorf("the policy is %q, want %q", policy, test.policy)
			}
			if paths := mountPaths(api); !slices.Equal(paths, test.paths) {
				t.Errorf("mounted %q, want %q", paths, test.paths)
			}
		})
	}
}

// TestNoProfiles: no component shows profiles, unless somebody asks for them.
func TestNoProfiles(t *testing.T) {
	in := input("v1.36.3", 1, 0)
	nodes, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	text := file(t, nodes["demo-control-plane-1"], ConfigFile)
	if n := strings.Count(text, "- name: profiling\n    value: \"false\"\n"); n != len(components) {
		t.Errorf("%d of %d components have it off:\n%s", n, len(components), text)
	}
	if !strings.Contains(text, "enableProfilingHandler: false\n") {
		t.Error("kubelets have it on")
	}
	args, _ := argsOf(apiServerOf(t, func(*Input) {}, "kind: ClusterConfiguration\napiServer: {extraArgs: {profiling: 'true'}}")["extraArgs"])
	if on, _ := valueOf(args, "profiling"); on != "true" {
		t.Error("a patch does not turn it on")
	}
}

// TestRivalsOfAuthentication: kube-apiserver does not start with a file of authentication
// and flags that say the same.
func TestRivalsOfAuthentication(t *testing.T) {
	for patch, want := range map[string]string{
		"": authenticationFile,
		"kind: ClusterConfiguration\napiServer: {extraArgs: {oidc-issuer-url: https://x}}":             "",
		"kind: ClusterConfiguration\napiServer: {extraArgs: {anonymous-auth: 'false'}}":                "",
		"kind: ClusterConfiguration\napiServer: {extraArgs: {authentication-config: /etc/kluster/my}}": "/etc/kluster/my",
	} {
		args, _ := argsOf(apiServerOf(t, hardened, patch)["extraArgs"])
		if got, _ := valueOf(args, "authentication-config"); got != want {
			t.Errorf("%q: authentication-config is %q, want %q", patch, got, want)
		}
	}
}

// TestEncryptionKey: the key is in one file of control planes, which only root reads.
func TestEncryptionKey(t *testing.T) {
	in := input("v1.36.3", 3, 2)
	hardened(&in)
	nodes, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte(base64.StdEncoding.EncodeToString(testKey))
	for _, n := range in.Cluster.Nodes {
		var holders []string
		for _, f := range nodes[n.Name].Files {
			if !bytes.Contains(f.Data, secret) {
				continue
			}
			holders = append(holders, f.Path)
			if f.Mode != 0o600 {
				t.Errorf("%s of %s has mode %o", f.Path, n.Name, f.Mode)
			}
		}
		var want []string
		if n.Role == nodespec.RoleControlPlane {
			want = []string{EncryptionFile}
		}
		if !slices.Equal(holders, want) {
			t.Errorf("on %s these files hold the key: %q, want %q", n.Name, holders, want)
		}
	}
	in.EncryptionKey = testKey[1:]
	if _, err := Render(in); err == nil {
		t.Error("a short key was taken")
	}
}
