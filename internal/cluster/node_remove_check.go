package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/kubeadm"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// check sees that the node can go.
func (r *removal) check(ctx context.Context, step status.Step) error {
	if err := r.look(ctx); err != nil {
		return err
	}
	if r.isControl || r.node == nil { // one whose machine has gone may have been one
		others := slices.DeleteFunc(slices.Clone(r.machines), func(n provider.Node) bool { return n.Name == r.name })
		if err := unpaused(r.opt.Cluster, others); err != nil {
			return err
		}
	}
	if err := r.lookAtEtcd(ctx); err != nil {
		return err
	}
	if err := r.losesData(ctx); err != nil {
		return err
	}
	if !r.drains(ctx) {
		return nil
	}
	for _, forbids := range []func(*swap, context.Context) error{(*swap).losesPods, (*swap).neverDrains} {
		if err := forbids(r.swap, ctx); err != nil {
			return err
		}
	}
	return r.awaitBudgets(ctx, step)
}

// awaitBudgets waits until no disruption budget forbids the drain.
func (r *removal) awaitBudgets(ctx context.Context, step status.Step) error {
	for {
		blocked, err := r.swap.blocked(ctx)
		switch {
		case err == nil && len(blocked) == 0:
			return nil
		case err == nil:
			step.Detail("waiting for the disruption budget of " + blocked[0])
		case unlessTransient(err) != nil:
			return err
		}
		if !wait.For(ctx, drainPoll) {
			return r.swap.undrainable(errors.Join(context.Cause(ctx), err), blocked)
		}
	}
}

// look finds what there still is of the node.
func (r *removal) look(ctx context.Context) (err error) {
	if err := r.m.clearAdded(ctx, r.opt.Cluster); err != nil {
		return err
	}
	if r.machines, err = r.m.existing(ctx, r.opt.Cluster); err != nil {
		return err
	}
	if r.had, err = r.m.members(ctx, r.machines); err != nil {
		return err
	}
	if i := slices.IndexFunc(r.had, func(n member) bool { return n.Name == r.name }); i >= 0 {
		r.node, r.isControl = &r.had[i], isControlPlane(r.had[i].Node)
	}
	conf, err := r.m.Kubeconfig(ctx, r.opt.Cluster, false)
	if err != nil {
		return err
	}
	if r.client, r.dynamic, err = r.m.clients(conf); err != nil {
		return err
	}
	r.swap = &swap{
		m: r.m, opt: SwapOptions{Force: r.opt.Force, Timeout: r.opt.Timeout}, client: r.client, dynamic: r.dynamic,
		cluster: machinesIn(r.had),
	}
	r.swap.node.Name = r.name
	if r.node != nil {
		r.swap.node = r.node.Node
	}
	return nil
}

// lookAtEtcd does the arithmetic of its members. Where none of the others answers there
// is nothing that could be changed, by force or without.
func (r *removal) lookAtEtcd(ctx context.Context) error {
	if r.node != nil && !r.isControl {
		return nil
	}
	machines := machinesIn(r.had)
	e, err := r.m.anEtcd(ctx, machines, r.name)
	if err != nil {
		if external, e := r.externalEtcd(ctx); e != nil || external {
			return e
		}
		return unfitError(err, "start them first: kluster start %s", r.opt.Cluster)
	}
	members, err := e.members(ctx)
	if err != nil {
		return err
	}
	own, has := r.memberOf(members)
	if !has {
		if r.node == nil {
			return r.stillKnown(ctx)
		}
		return nil
	}
	r.etcd, r.isControl = &e, true
	if own.IsLearner {
		return nil
	}
	well := e.well(ctx, members, machines)
	return r.keepsQuorum(votes{members: voting(members), well: well, own: own.ID})
}

// externalEtcd says whether control planes have no members.
func (r *removal) externalEtcd(ctx context.Context) (external bool, err error) {
	err = persist(ctx, "reading kubeadm-config", func(ctx context.Context) error {
		cm, err := r.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, "kubeadm-config", metav1.GetOptions{})
		if err != nil {
			return err
		}
		f, err := kubeadm.ReadCluster([]byte(cm.Data["ClusterConfiguration"]))
		external = f.ExternalEtcd
		return err
	})
	return external, err
}

// memberOf is the node's member.
func (r *removal) memberOf(members []etcdMember) (etcdMember, bool) {
	if r.node != nil {
		return memberOf(members, r.node.Node)
	}
	i := slices.IndexFunc(members, func(m etcdMember) bool { return m.Name == r.name })
	if i < 0 {
		return etcdMember{}, false
	}
	return members[i], true
}

// votes are etcd's voting members, which of them answer, and which one is to go.
type votes struct {
	members []etcdMember
	well    map[string]bool
	own     string
}

// answering counts those that answer, less some.
func (v votes) answering(except string) int {
	n := 0
	for _, m := range v.members {
		if v.well[m.ID] && m.ID != except {
			n++
		}
	}
	return n
}

// silent names those that do not answer and stay.
func (v votes) silent() []string {
	var names []string
	for _, m := range v.members {
		if !v.well[m.ID] && m.ID != v.own {
			names = append(names, m.Name)
		}
	}
	return names
}

// keepsQuorum refuses what would leave etcd without a majority.
func (r *removal) keepsQuorum(v votes) error {
	all := len(v.members)
	if now := v.answering(""); now < quorum(all) {
		return unfitError(
			fmt.Errorf("etcd has %d voting members, of which %d answer and %d are needed to change anything", all, now, quorum(all)),
			"start %s first; not even --force can do without", strings.Join(v.silent(), ", "))
	}
	left := v.answering(v.own)
	if left >= quorum(all-1) || r.opt.Force {
		return nil
	}
	return unfitError(
		fmt.Errorf("etcd would have %d voting members, of which %d answer and %d are needed: it would serve nobody", all-1, left, quorum(all-1)),
		"start %s first, or remove it in its place; --force does it all the same", strings.Join(v.silent(), ", "))
}

// stillKnown fails if nothing is left of a node whose machine has gone.
func (r *removal) stillKnown(ctx context.Context) error {
	return persist(ctx, "asking for the node", func(ctx context.Context) error {
		_, err := r.client.CoreV1().Nodes().Get(ctx, r.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return &NotFoundError{Kind: "node", Name: r.name, Known: nodeNames(machinesIn(r.had))}
		}
		return err
	})
}

// losesData sees that no volume is lost that somebody counts on.
func (r *removal) losesData(ctx context.Context) error {
	if r.opt.Force || r.node == nil {
		return nil
	}
	var lost []string
	err := persist(ctx, "listing volumes", func(ctx context.Context) error {
		list, err := r.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		lost = nil
		for _, v := range list.Items {
			if livesOn(&v, r.name) {
				lost = append(lost, claimOf(&v))
			}
		}
		return nil
	})
	if err != nil || len(lost) == 0 {
		return err
	}
	return &inputError{failure.With(fmt.Errorf("persistent volumes live on it, and would be lost: %s", strings.Join(lost, ", ")),
		failure.Hint("delete what claims them, or let them be lost with --force"))}
}

// livesOn says whether a volume can be had on one node only, which is this.
func livesOn(v *corev1.PersistentVolume, node string) bool {
	if v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil {
		return false
	}
	for _, term := range v.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname && e.Operator == corev1.NodeSelectorOpIn && slices.Equal(e.Values, []string{node}) {
				return true
			}
		}
	}
	return false
}

func claimOf(v *corev1.PersistentVolume) string {
	if c := v.Spec.ClaimRef; c != nil {
		return c.Namespace + "/" + c.Name
	}
	return v.Name
}

// drains says whether a drain makes sense: on a machine that does not run, or whose
// kubelet is silent, no pod ends.
func (r *removal) drains(ctx context.Context) bool {
	if !r.runs() {
		return false
	}
	ok := false
	err := persist(ctx, "asking for the node", func(ctx context.Context) error {
		n, err := r.client.CoreV1().Nodes().Get(ctx, r.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		ok = err == nil && hasHeard(n)
		return err
	})
	return err == nil && ok
}

// hasHeard says whether the API hears of a node's kubelet, be it Ready or not.
func hasHeard(n *corev1.Node) bool {
	i := slices.IndexFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
	return i >= 0 && n.Status.Conditions[i].Status != corev1.ConditionUnknown
}
