package podnet

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kluster-project/kluster/internal/wait"
)

// API is the Cluster of a real node, seen with its kubelet's credentials. These
// may always watch the node itself; all nodes only once the cluster's
// bootstrap has granted it, so a refusal at first is no failure.
type API struct {
	client *rest.RESTClient
	name   string
	log    *slog.Logger
}

var _ Cluster = (*API)(nil)

// Back-off between tries to reach the API, doubling from first to last.
const (
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = time.Second
	// watchTime ends a watch now and then, so that a dead one cannot last.
	watchTime = 5 * time.Minute
)

// NewAPI reads a kubeconfig for the node called name.
func NewAPI(kubeconfig, name string, log *slog.Logger) (*API, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	return newAPI(config, name, log)
}

func newAPI(config *rest.Config, name string, log *slog.Logger) (*API, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.GroupVersion = &corev1.SchemeGroupVersion
	config.APIPath = "/api"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.UserAgent = "kluster-node"
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API: %w", err)
	}
	return &API{client: client, name: name, log: log}, nil
}

// Connect waits for the kubeconfig, which the bootstrap of the node writes, and
// for the certificates it names, and reads them. Its only error is ctx's.
func Connect(ctx context.Context, kubeconfig, name string, log *slog.Logger) (*API, error) {
	const poll = 100 * time.Millisecond
	told := ""
	for {
		api, err := NewAPI(kubeconfig, name, log)
		if err == nil {
			return api, nil
		}
		if err.Error() != told {
			log.Info("waiting for the kubelet's credentials", "reason", err)
			told = err.Error()
		}
		if !wait.For(ctx, poll) {
			return nil, ctx.Err()
		}
	}
}

// Self implements Cluster.
func (a *API) Self(ctx context.Context, handle func([]Peer)) error {
	return a.follow(ctx, "metadata.name="+a.name, handle)
}

// Nodes implements Cluster.
func (a *API) Nodes(ctx context.Context, handle func([]Peer)) error {
	return a.follow(ctx, "", handle)
}

// follow lists and watches the nodes that selector chooses, over and over.
func (a *API) follow(ctx context.Context, selector string, handle func([]Peer)) error {
	backoff, told := firstBackoff, ""
	for {
		progress, err := a.listAndWatch(ctx, selector, handle)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if progress {
			backoff, told = firstBackoff, ""
		}
		if err == nil {
			continue // the watch's time was over
		}
		if err.Error() != told {
			a.log.Warn("cannot watch nodes; trying again", "selector", selector, "error", err)
			told = err.Error()
		}
		if !wait.For(ctx, backoff) {
			return ctx.Err()
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// listAndWatch follows the nodes until the watch ends. progress says whether
// it got as far as a list.
func (a *API) listAndWatch(ctx context.Context, selector string, handle func([]Peer)) (progress bool, err error) {
	var list corev1.NodeList
	err = a.client.Get().Resource("nodes").VersionedParams(&metav1.ListOptions{FieldSelector: selector}, metav1.ParameterCodec).
		Timeout(10 * time.Second).Do(ctx).Into(&list)
	if err != nil {
		return false, err
	}
	known := map[string]Peer{}
	for i := range list.Items {
		known[list.Items[i].Name] = peer(&list.Items[i])
	}
	handle(values(known))
	seconds := int64(watchTime.Seconds())
	w, err := a.client.Get().Resource("nodes").VersionedParams(&metav1.ListOptions{
		FieldSelector: selector, Watch: true, ResourceVersion: list.ResourceVersion, TimeoutSeconds: &seconds,
	}, metav1.ParameterCodec).Watch(ctx)
	if err != nil {
		return true, err
	}
	defer w.Stop()
	return true, relay(ctx, w, known, handle)
}

// relay turns watch events into calls of handle, for changes that matter here:
// nodes report their health every few seconds.
func relay(ctx context.Context, w watch.Interface, known map[string]Peer, handle func([]Peer)) error {
	for {
		var event watch.Event
		var ok bool
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, ok = <-w.ResultChan():
		}
		if !ok {
			return nil
		}
		node, isNode := event.Object.(*corev1.Node)
		if !isNode {
			return fmt.Errorf("watch ended: %v", event.Object)
		}
		before, had := known[node.Name]
		now := peer(node)
		if event.Type == watch.Deleted {
			delete(known, node.Name)
		} else {
			known[node.Name] = now
		}
		if event.Type == watch.Deleted || !had || !equal(before, now) {
			handle(values(known))
		}
	}
}

// peer takes what matters of a node; what is no address or range is left out.
func peer(node *corev1.Node) Peer {
	p := Peer{Name: node.Name}
	for _, a := range node.Status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			p.Addrs = append(p.Addrs, addr)
		}
	}
	for _, r := range node.Spec.PodCIDRs {
		if prefix, err := netip.ParsePrefix(r); err == nil {
			p.Ranges = append(p.Ranges, prefix.Masked())
		}
	}
	return p
}
