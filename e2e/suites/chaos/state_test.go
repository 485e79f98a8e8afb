package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// pod is one with how often its containers have restarted.
type pod struct {
	name, node string // NAMESPACE/NAME
	uid        string
	restarts   int32
}

// podsOf are those of a cluster, by name.
func podsOf(ctx context.Context, in *harness.Cluster) map[string]pod {
	GinkgoHelper()
	list, err := in.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	all := map[string]pod{}
	for _, p := range list.Items {
		found := pod{name: p.Namespace + "/" + p.Name, node: p.Spec.NodeName, uid: string(p.UID)}
		for _, s := range p.Status.ContainerStatuses {
			found.restarts += s.RestartCount
		}
		all[found.name] = found
	}
	return all
}

// restartedPods names the pods that restarted, or are gone, though they had nothing to do
// with the fault.
func restartedPods(before, after map[string]pod, spares func(pod) bool) []string {
	out := []string{}
	for name, was := range before {
		is, ok := after[name]
		switch {
		case !spares(was):
		case !ok || is.uid != was.uid:
			out = append(out, name+" (another one)")
		case is.restarts > was.restarts:
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// belongings are what there is of a cluster, and in its nodes, that faults could leave
// behind: objects of the engine, faults, packet rules, timers, and processes of kluster.
func belongings(ctx context.Context, e *harness.Engine) []string {
	GinkgoHelper()
	all, err := e.Leftovers(ctx, c.Name)
	Expect(err).NotTo(HaveOccurred())
	all = append(all, activeFaults(ctx)...)
	all = append(all, processes()...)
	for _, node := range append(controlPlanes(), loadBalancer()) {
		r, err := e.Exec(ctx, node, "sh", "-c", traces)
		Expect(err).NotTo(HaveOccurred())
		for _, line := range r.Lines() {
			all = append(all, node+": "+line)
		}
	}
	return all
}

// traces prints what a fault may leave in a node. The folder of its faults has a lock, which
// stays, so do the empty folders of its mounts, and iptables makes an empty table "raw" when it first looks there.
const traces = `
nft list tables 2>/dev/null | grep -v -e kluster-policy -e kube-proxy -e ' raw$'
nft list ruleset 2>/dev/null | grep -e kluster_fault -e KLUSTER-LATENCY
tc qdisc show 2>/dev/null | grep -e netem -e tbf -e htb
ip -o link show 2>/dev/null | grep -o -e 'kluster-sink[^:@ ]*'
ls /run/kluster/faults 2>/dev/null | grep -v -x lock
ls -d /var/lib/etcd/.kluster* 2>/dev/null
grep -o -E '^/dev/loop[^ ]* /var/lib/etcd[^ ]*|/run/kluster/etcd-[^ ]*' /proc/mounts
systemctl list-units --all --plain --no-legend 'kluster-fault*' 'kluster-undo*' 2>/dev/null
pgrep -a -f '[k]luster-node fault'
true`

// activeFaults are those that kluster knows of.
func activeFaults(ctx context.Context) []string {
	GinkgoHelper()
	var list []json.RawMessage
	c.Must(ctx, "fault", "list", "--cluster", c.Name, "-o", "json").Decode(&list)
	var out []string
	for _, f := range list {
		out = append(out, "fault "+string(f))
	}
	return out
}

// processes are those of the host that are kluster and know the cluster's name.
func processes() []string {
	found := map[string]bool{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // never a bad pattern
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		words := strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
		if knows(words, c.Bin, c.Name) {
			found[fmt.Sprintf("process %s", strings.Join(words[1:], " "))] = true
		}
	}
	return sortedKeys(found)
}

func sortedKeys(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// knows says whether words are a command line of a program that has a cluster's name. The
// program may have been found by another path.
func knows(words []string, program, cluster string) bool {
	return filepath.Base(words[0]) == filepath.Base(program) && slices.ContainsFunc(words[1:], func(w string) bool { return strings.Contains(w, cluster) })
}

// beyond is what is in after and not in before.
func beyond(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(after), func(s string) bool { return slices.Contains(before, s) })
}
