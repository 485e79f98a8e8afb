package kubeadm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Files of kube-apiserver's own, on every control plane, besides kubeadm's.
const (
	// PolicyDir holds what it is told by files. It is kluster's folder: "kubeadm
	// reset" leaves it, so that such a node can join again.
	PolicyDir = "/etc/kluster/apiserver"
	// AuditDir holds the audit log, which is rotated there.
	AuditDir = "/var/log/kubernetes"
	AuditLog = AuditDir + "/audit.log"

	auditPolicyFile = PolicyDir + "/audit-policy.yaml"
)

// auditArgs are the flags of the audit log. What it may take of the disk is little
// beside what a cluster takes anyway.
var auditArgs = []arg{
	{"audit-policy-file", auditPolicyFile},
	{"audit-log-path", AuditLog},
	{"audit-log-maxsize", "50"}, // MB
	{"audit-log-maxbackup", "2"},
	{"audit-log-maxage", "30"}, // days
}

// auditPolicy says who asked for what, and how it ended, but never what was in it: bodies
// of requests hold Secrets. Left out is what asks all the time and changes nothing:
// whether a server is well, and the leases with which components and nodes say that
// they are.
var auditPolicy = object{
	"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
	"omitStages": []any{"RequestReceived"},
	"rules": []any{
		object{"level": "None", "nonResourceURLs": []any{"/healthz*", "/livez*", "/readyz*"}},
		object{
			"level": "None", "verbs": []any{"get", "update"},
			"resources": []any{object{"group": "coordination.k8s.io", "resources": []any{"leases"}}},
		},
		object{"level": "Metadata"},
	},
}

// hostFolder is a folder of a control plane that kube-apiserver sees at the same path.
type hostFolder struct {
	name, path string
	readOnly   bool
	pathType   string
}

// apiServerFolders are those that flags of ours name files in.
var apiServerFolders = []hostFolder{
	{"kluster-policies", PolicyDir, true, "Directory"},
	{"kluster-audit", AuditDir, false, "DirectoryOrCreate"},
}

// mountFolders gives kube-apiserver the folders that its flags name files in, as they are
// after all patches: a patch that brings volumes replaces the list, and one that brings
// a policy of its own may have no use for ours.
func mountFolders(api object) {
	args, ok := argsOf(api["extraArgs"])
	if !ok {
		return
	}
	volumes, _ := api["extraVolumes"].([]any)
	for _, f := range apiServerFolders {
		if f.usedBy(args) && !mounted(volumes, f.path) {
			volumes = append(volumes, f.volume())
		}
	}
	if len(volumes) > 0 {
		api["extraVolumes"] = volumes
	}
}

func (f hostFolder) usedBy(args []arg) bool {
	return slices.ContainsFunc(args, func(a arg) bool { return strings.HasPrefix(a.value, f.path+"/") })
}

func (f hostFolder) volume() object {
	return object{"name": f.name, "hostPath": f.path, "mountPath": f.path, "readOnly": f.readOnly, "pathType": f.pathType}
}

// mounted says whether something is mounted at a path, which only one thing can be.
func mounted(volumes []any, path string) bool {
	return slices.ContainsFunc(volumes, func(v any) bool {
		o, _ := v.(object)
		return strings.TrimRight(str(o, "mountPath"), "/") == path
	})
}

// policyFiles render PolicyDir. They are root's alone, as CIS wants it of all that
// configures a control plane.
func (r *renderer) policyFiles() ([]nodespec.File, error) {
	docs := map[string]object{auditPolicyFile: auditPolicy}
	if r.in.Cluster.Hardened {
		var err error
		if docs, err = r.hardenedPolicies(docs); err != nil {
			return nil, err
		}
	}
	var files []nodespec.File
	for _, path := range sortedKeys(docs) {
		b, err := encode(docs[path])
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", path, err)
		}
		files = append(files, nodespec.File{Path: path, Mode: 0o600, Data: b})
	}
	return files, nil
}
