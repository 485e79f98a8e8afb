package chaos_test

import (
	"context"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/chaos"
)

// target picks the machines of a fault, or the ways that it cuts off.
type target func(ctx context.Context, x *experiment) []string

// leader is the control plane whose member leads etcd.
func leader(ctx context.Context, x *experiment) []string {
	GinkgoHelper()
	var name string
	Eventually(ctx, func(ctx context.Context) string { name = x.etcd.leader(ctx); return name }).
		ShouldNot(BeEmpty(), "a member leads etcd")
	return []string{name}
}

// follower is a control plane whose member does not.
func follower(ctx context.Context, x *experiment) []string {
	return followers(ctx, x)[:1]
}

// two are the leader's and another.
func two(ctx context.Context, x *experiment) []string {
	return append(leader(ctx, x), follower(ctx, x)...)
}

func followers(ctx context.Context, x *experiment) []string {
	first := leader(ctx, x)[0]
	return slices.DeleteFunc(controlPlanes(), func(name string) bool { return name == first })
}

func balancer(context.Context, *experiment) []string { return []string{loadBalancer()} }

func everyNode(context.Context, *experiment) []string { return controlPlanes() }

// themselves are the ways through the machines of the fault, everyone all ways.
func themselves(_ context.Context, x *experiment) []string { return x.targets }

func everyone(context.Context, *experiment) []string {
	return append([]string{chaos.LoadBalancer}, controlPlanes()...)
}

// Pods that have nothing to do with a fault: those of other nodes, all of those but leaders, all
// of them, none, or all but a static pod of the targets.
func elsewhere(targets []string, p pod) bool { return !slices.Contains(targets, p.node) }

// elsewhereButLed leaves out what works only while it is the leader among its like: without a quorum
// it cannot stay so, and ends, as it is made to.
func elsewhereButLed(targets []string, p pod) bool {
	led := strings.HasPrefix(p.name, "kube-system/kube-scheduler-") || strings.HasPrefix(p.name, "kube-system/kube-controller-manager-")
	return elsewhere(targets, p) && !led
}

func all([]string, pod) bool { return true }

func none([]string, pod) bool { return false }

func butStatic(name string) func([]string, pod) bool {
	return func(targets []string, p pod) bool {
		return !slices.ContainsFunc(targets, func(node string) bool { return strings.HasSuffix(p.name, "/"+name+"-"+node) })
	}
}
