package parity_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// allowance is a difference that is meant: in entries whose key matches, lines
// that match are left out on both sides; without a line, all of the entry is.
type allowance struct {
	key, line *regexp.Regexp
	reason    string
}

func allow(key, line, reason string) allowance {
	a := allowance{key: regexp.MustCompile(key), reason: reason}
	if line != "" {
		a.line = regexp.MustCompile(line)
	}
	return a
}

// allowed are all differences there may be. Whoever adds one says why.
var allowed = []allowance{
	allow(`^(cluster)?role(binding)? .*kluster:`, "",
		"kluster adds roles for the pod network of its nodes"),
	allow(`^\w+ (local-path-storage/.*|.*local-path.*)$`, "",
		"kluster adds a default StorageClass"),
	allow(`^control-plane-\d /etc/kubernetes/manifests/etcd.yaml$`, `--initial-cluster(-state|-token)?=`,
		"members are known from the start and not joined; etcd reads this once, at its first start"),
	allow(`^control-plane-[23] /etc/kubernetes/pki/sa.pub$`, `^mode 100(600|644), owner 0:0, type 0, link ""$`,
		"init writes this public key for root alone, join for all; each control plane of kluster's has run init"),
	allow(`/var/lib/kubelet/pki/kubelet-client-DATE.pem$`, `, usage [15] \[clientAuth\]`,
		"kubeadm's own client certificates may encipher keys, those that a kubelet asks for may not; kluster makes all like kubeadm's"),
	allow(`^configmap kube-public/cluster-info$`, `jws-kubeconfig-`,
		"there is a signature per bootstrap token, and each join has had one of its own"),
	allow(`^role(binding)? kube-system/kubeadm:kubeadm-certs$`, "",
		"it comes with the upload of keys to those that join as control planes"),
}

// differences lists where two snapshots differ, an entry each, and which of the
// allowances were needed.
func differences(want, got snapshot) (out []string, used map[string]bool) {
	used = map[string]bool{}
	keys := map[string]bool{}
	for k := range want {
		keys[k] = true
	}
	for k := range got {
		keys[k] = true
	}
	for k := range keys {
		a, inWant := want[k]
		b, inGot := got[k]
		if inWant == inGot && a == b {
			continue
		}
		a, b, skip := permit(k, a, b, used)
		switch {
		case skip || (inWant == inGot && a == b):
		case !inGot:
			out = append(out, fmt.Sprintf("%s: kubeadm makes it, kluster does not:\n%s", k, indent(a)))
		case !inWant:
			out = append(out, fmt.Sprintf("%s: kluster makes it, kubeadm does not:\n%s", k, indent(b)))
		default:
			out = append(out, fmt.Sprintf("%s (-kubeadm +kluster):\n%s", k, indent(cmp.Diff(strings.Split(a, "\n"), strings.Split(b, "\n")))))
		}
	}
	slices.Sort(out)
	return out, used
}

// permit applies the allowances to an entry that differs.
func permit(key, a, b string, used map[string]bool) (string, string, bool) {
	for _, p := range allowed {
		if !p.key.MatchString(key) {
			continue
		}
		if p.line == nil {
			used[p.reason] = true
			return a, b, true
		}
		a2, b2 := without(a, p.line), without(b, p.line)
		if a2 != a || b2 != b {
			used[p.reason] = true
		}
		a, b = a2, b2
	}
	return a, b, false
}

func without(s string, line *regexp.Regexp) string {
	return strings.Join(slices.DeleteFunc(strings.Split(s, "\n"), line.MatchString), "\n")
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ")
}
