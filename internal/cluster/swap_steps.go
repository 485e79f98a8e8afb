package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// cordon keeps new pods away, and remembers whether somebody had done so before.
func (s *swap) cordon(ctx context.Context) error {
	var n *corev1.Node
	err := persist(ctx, "reading the node", func(ctx context.Context) (err error) {
		n, err = s.client.CoreV1().Nodes().Get(ctx, s.node.Name, metav1.GetOptions{})
		return err
	})
	if err != nil || n.Spec.Unschedulable {
		return err
	}
	s.cordoned = true // also when the answer gets lost
	return s.patch(ctx, map[string]any{"spec": map[string]any{"unschedulable": true}})
}

func (s *swap) uncordon(ctx context.Context) error {
	if !s.cordoned {
		return nil
	}
	return s.patch(ctx, map[string]any{"spec": map[string]any{"unschedulable": nil}})
}

// patch changes the node's object, as often as it takes: the API server that answered
// last may be the one that is swapped.
func (s *swap) patch(ctx context.Context, change map[string]any) error {
	text, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("encoding a change of the node: %w", err)
	}
	return persist(ctx, "changing the node's object", func(ctx context.Context) error {
		_, err := s.client.CoreV1().Nodes().Patch(ctx, s.node.Name, types.MergePatchType, text, metav1.PatchOptions{})
		return err
	})
}

// requestTime bounds a request to an API server that may go away meanwhile.
const requestTime = 5 * time.Second

// persist calls do until it succeeds or fails for a reason that will not pass.
func persist(ctx context.Context, what string, do func(context.Context) error) error {
	for {
		bounded, cancel := context.WithTimeout(ctx, requestTime)
		err := do(bounded)
		late := bounded.Err() != nil
		cancel()
		if err == nil {
			return nil
		}
		if !late && unlessTransient(err) != nil || !wait.For(ctx, pollEvery) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// exec runs a command in the node.
func (s *swap) exec(ctx context.Context, args ...string) error {
	return s.m.provider.Exec(ctx, s.node.ID, provider.Command{Args: args})
}

// act is one part of a swap inside the node.
func (s *swap) act(ctx context.Context, name string, c choice) error {
	return s.exec(ctx, "kluster-node", "runtime", name, c.runtime.Name, c.oci)
}

func (s *swap) stopKubelet(ctx context.Context) error {
	return s.exec(ctx, "systemctl", "stop", "kubelet")
}

func (s *swap) stopRuntime(ctx context.Context) error { return s.act(ctx, "stop", s.from) }

func (s *swap) configure(ctx context.Context) error { return s.act(ctx, "use", s.to) }

func (s *swap) startRuntime(ctx context.Context) error { return s.act(ctx, "start", s.to) }

func (s *swap) startKubelet(ctx context.Context) error {
	s.started = time.Now()
	return s.exec(ctx, "systemctl", "start", "kubelet")
}

// restore takes back all that was done in the node.
func (s *swap) restore(ctx context.Context) error {
	s.started = time.Now()
	if err := s.exec(ctx, restoreCommand...); err != nil {
		return err
	}
	return s.waitFor(ctx, s.from.runtime, status.Discard)
}

func (s *swap) waitNew(ctx context.Context, step status.Step) error {
	return s.waitFor(ctx, s.to.runtime, step)
}

// waitFor waits until the node's kubelet has said, since it was started, that it is
// Ready with a runtime, and until the node's own API server serves.
func (s *swap) waitFor(ctx context.Context, runtime cri.Runtime, step status.Step) error {
	why := "no answer of the API yet"
	err := s.until(ctx, func(ctx context.Context) bool {
		n, err := s.client.CoreV1().Nodes().Get(ctx, s.node.Name, metav1.GetOptions{})
		if err != nil {
			return false // an API server that goes away or comes
		}
		why = notBack(n, runtime, s.started)
		step.Detail(why)
		return why == ""
	})
	if err != nil {
		return fmt.Errorf("waiting for the node (%s): %w", why, err)
	}
	if !isControlPlane(s.node) {
		return nil
	}
	// It is ready when its etcd, the only one it asks, has a quorum.
	step.Detail("API server")
	var last error
	err = s.until(ctx, func(ctx context.Context) bool {
		last = s.exec(ctx, "kubectl", "--kubeconfig", AdminConf, "--server", ownAPI, "get", "--raw", "/readyz")
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the node's API server (%w): %w", last, err)
	}
	return nil
}

// ownAPI is a control plane's own API server, by a name of its certificate.
const ownAPI = "https://127.0.0.1:6443"

// until asks again and again, until it is so or ctx ends.
func (s *swap) until(ctx context.Context, so func(context.Context) bool) error {
	for {
		bounded, cancel := context.WithTimeout(ctx, requestTime)
		ok := so(bounded)
		cancel()
		if ok {
			return nil
		}
		if !wait.For(ctx, 2*pollEvery) {
			return context.Cause(ctx)
		}
	}
}

// notBack says why a node is not yet what it shall be, by what its kubelet has told
// since a time; "" if it is.
func notBack(n *corev1.Node, runtime cri.Runtime, since time.Time) string {
	version := n.Status.NodeInfo.ContainerRuntimeVersion
	if now, ok := cri.Reported(version); !ok || now.Name != runtime.Name {
		return "it reports " + version
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.LastHeartbeatTime.Time.Before(since.Truncate(time.Second)) {
			return "nothing was heard of its kubelet"
		}
	}
	return notReady(n)
}

// criSocketAnnotation is where older versions of kubeadm look up a node's runtime.
const criSocketAnnotation = "kubeadm.alpha.kubernetes.io/cri-socket"

func (s *swap) label(ctx context.Context) error { return s.labelFor(ctx, s.to) }

func (s *swap) labelBack(ctx context.Context) error { return s.labelFor(ctx, s.from) }

// labelFor says on the node's object which OCI runtimes pods can pick there, makes
// their classes, and tells kubeadm of the socket where it looks for it.
func (s *swap) labelFor(ctx context.Context, c choice) error {
	pick := runs{runtime: c.runtime, oci: s.classes}.classes()
	labels, meta := map[string]any{}, map[string]any{}
	for _, name := range s.classes {
		labels[addons.OCILabel+name] = nil
	}
	for _, name := range pick {
		labels[addons.OCILabel+name] = "true"
	}
	meta["labels"] = labels
	var annotated bool
	err := persist(ctx, "reading the node", func(ctx context.Context) error {
		n, err := s.client.CoreV1().Nodes().Get(ctx, s.node.Name, metav1.GetOptions{})
		if err == nil {
			_, annotated = n.Annotations[criSocketAnnotation]
		}
		return err
	})
	if err != nil {
		return err
	}
	if annotated {
		meta["annotations"] = map[string]any{criSocketAnnotation: c.runtime.Socket}
	}
	if err := s.patch(ctx, map[string]any{"metadata": meta}); err != nil {
		return err
	}
	table, err := addons.Load()
	if err != nil {
		return err
	}
	classes, err := table.RuntimeClasses(pick)
	if err != nil {
		return err
	}
	for _, o := range classes {
		err := persist(ctx, "applying "+o.GetKind()+" "+o.GetName(), func(ctx context.Context) error { return applyObject(ctx, s.dynamic, o) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *swap) record(ctx context.Context) error { return s.act(ctx, "record", s.to) }

func (s *swap) recordBack(ctx context.Context) error { return s.act(ctx, "record", s.from) }
