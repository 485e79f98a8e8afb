package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

func (r *removal) cordon(ctx context.Context) error {
	return unlessGone(r.swap.cordon(ctx))
}

func (r *removal) uncordon(ctx context.Context) error { return unlessGone(r.swap.uncordon(ctx)) }

// unlessGone is err, or nil for a node that the API does not know.
func unlessGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (r *removal) drain(ctx context.Context, step status.Step) error {
	if !r.drains(ctx) {
		return status.Skip("its kubelet does not answer")
	}
	if err := r.swap.drain(ctx, step); err != nil {
		return err
	}
	r.drained = true
	return nil
}

// leaveAPI keeps new sessions away from a control plane.
func (r *removal) leaveAPI(ctx context.Context) error {
	if !r.isControl {
		return status.Skip("it is a worker")
	}
	return r.m.tellAPIServers(ctx, r.others(), balancers(r.machines), apiServersOf(r.others()))
}

func (r *removal) returnToAPI(ctx context.Context) error {
	if !r.isControl {
		return nil
	}
	now, err := r.m.members(ctx, machinesIn(r.had))
	if err != nil {
		return err
	}
	return r.m.tellAPIServers(ctx, now, balancers(r.machines), apiServersOf(now))
}

// sweepTime bounds the last look at the API.
const sweepTime = 30 * time.Second

// apiServerGrace is how many seconds an API server has to end. It answers what it was
// asked and sends clients elsewhere at once, and then waits for those that watch, of which
// some, on its own node, have nowhere to go.
const apiServerGrace = "5"

// stopServices stops the kubelet, so that it neither registers again nor starts again what
// is stopped, and then the API server as it wants to be.
func (r *removal) stopServices(ctx context.Context) error {
	if !r.runs() {
		return status.Skip("it does not run")
	}
	err := r.exec(ctx, nil, "systemctl", "stop", "kubelet")
	if err == nil && r.isControl {
		err = r.stopAPIServer(ctx)
	}
	if err != nil && r.opt.Force && ctx.Err() == nil {
		r.m.reporter.Note("%s does not answer, and is not asked: %v", r.name, err)
		return nil
	}
	return err
}

func (r *removal) stopAPIServer(ctx context.Context) error {
	runtime, err := r.m.runtimeOf(ctx, r.node.Node)
	if err != nil {
		return err
	}
	crictl := func(out *bytes.Buffer, args ...string) error {
		return r.exec(ctx, out, append(append([]string{}, runtime.Debug...), args...)...)
	}
	var ids bytes.Buffer
	if err := crictl(&ids, "ps", "--quiet", "--name", "^kube-apiserver$"); err != nil {
		return err
	}
	for _, id := range strings.Fields(ids.String()) {
		if err := crictl(nil, "stop", "--timeout", apiServerGrace, id); err != nil {
			return err
		}
	}
	return nil
}

func (r *removal) startServices(ctx context.Context) error {
	if !r.runs() {
		return nil
	}
	return r.exec(ctx, nil, "systemctl", "start", "kubelet")
}

// exec runs a command in the node.
func (r *removal) exec(ctx context.Context, out *bytes.Buffer, args ...string) error {
	cmd := provider.Command{Args: args}
	if out != nil {
		cmd.Stdout = out
	}
	return r.m.provider.Exec(ctx, r.node.ID, cmd)
}

// leaveEtcd removes the node's member. It is not interrupted: whether it has gone must be
// known.
func (r *removal) leaveEtcd(ctx context.Context, step status.Step) error {
	if r.etcd == nil {
		return status.Skip("it has no member")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeBackTime)
	defer cancel()
	members, err := r.etcd.members(ctx)
	if err != nil {
		return err
	}
	own, has := r.memberOf(members)
	if !has {
		return nil
	}
	if via, ok := memberOf(members, r.etcd.via); ok && r.runs() {
		etcd{r.m, r.node.Node}.handOver(ctx, r.node.Addrs[0], own, via.ID)
	}
	err = r.etcd.remove(ctx, own)
	if err == nil {
		return nil
	}
	if now, e := r.etcd.members(ctx); e == nil {
		if _, has := r.memberOf(now); !has {
			return nil // it has gone, and the answer with it
		}
	}
	if r.opt.Force {
		step.Note("etcd keeps the member of %s (%v); remove %s again when it has a quorum", r.name, err, r.name)
		return nil
	}
	return err
}

// forgetNode deletes the API's node. Its kubelet does not run, or has no machine.
func (r *removal) forgetNode(ctx context.Context) error {
	return deleteNodeObject(ctx, r.client, r.name)
}

func (r *removal) removeMachine(ctx context.Context) error {
	if r.node == nil {
		return status.Skip("it has gone already")
	}
	sel := provider.Selector{nodespec.LabelCluster: r.opt.Cluster, nodespec.LabelNode: r.name}
	return r.m.provider.Remove(ctx, sel)
}

// sweep removes what was left for the node's end. Of a cluster whose quorum was broken by
// force nobody can be asked.
func (r *removal) sweep(ctx context.Context) error {
	var errs []error
	if r.isControl {
		for _, lb := range balancers(r.machines) {
			errs = append(errs, r.m.settleBalancer(ctx, lb, "cut"))
		}
	}
	bounded, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	err := errors.Join(deleteNodeObject(bounded, r.client, r.name), deletePodsOf(bounded, r.client, r.name))
	if err != nil && r.opt.Force {
		r.m.reporter.Note("the API did not hear of the end of %s: %v", r.name, err)
		err = nil
	}
	return errors.Join(append(errs, err)...)
}

// deleteNodeObject deletes a node of the API, if there is one.
func deleteNodeObject(ctx context.Context, client kubernetes.Interface, name string) error {
	return persist(ctx, "deleting node "+name+" of the API", func(ctx context.Context) error {
		return unlessGone(client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}))
	})
}

// deletePodsOf deletes the pods of a node that is no more, at once: there is nothing that
// could end them well, and until they are gone others are not started in their place.
func deletePodsOf(ctx context.Context, client kubernetes.Interface, name string) error {
	return persist(ctx, "deleting pods of "+name, func(ctx context.Context) error {
		list, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
			FieldSelector: fields.OneTermEqualSelector("spec.nodeName", name).String(),
		})
		if err != nil {
			return err
		}
		now := int64(0)
		for _, p := range list.Items {
			if p.Spec.NodeName != name {
				continue // an API that does not select
			}
			err := client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{
				GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(p.UID)),
			})
			if unlessGone(err) != nil && !apierrors.IsConflict(err) {
				return fmt.Errorf("pod %s: %w", podName(p), err)
			}
		}
		return nil
	})
}
