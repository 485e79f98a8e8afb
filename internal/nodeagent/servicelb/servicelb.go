// Package servicelb sees to it that Services of type LoadBalancer are served: when the
// first one appears it applies MetalLB, whose manifests and images lie in the node,
// with the addresses that the cluster's network has for these Services. A cluster
// without such a Service pays for one watch that never hears anything.
//
// It runs on every control plane. The first one applies; the others look, one after
// the other, whether that is done, and do it where it is not.
package servicelb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/wait"
)

const (
	// turn is the time that a control plane leaves to each one before it: more than
	// an apply takes on a busy machine.
	turn = 10 * time.Second
	// retry is the time between two tries to apply.
	retry = 3 * time.Second
)

// Service applies MetalLB on demand.
type Service struct {
	// Made returns when the node has made a control plane of itself: before, an
	// administrator may do nothing. Kubeconfig is the administrator's.
	Made       func(context.Context) error
	Kubeconfig string
	// Addrs are what Services get addresses from.
	Addrs []nodespec.AddrRange
	// Turn is the node's place among the control planes, from 0.
	Turn int
	// Cluster is what MetalLB is applied to.
	Cluster Cluster
	Log     *slog.Logger
}

// Cluster is what the service changes.
type Cluster interface {
	// State says what there is of MetalLB.
	State(ctx context.Context) (State, error)
	// Apply makes what there is of MetalLB complete.
	Apply(ctx context.Context, addrs []nodespec.AddrRange) error
}

// State is what there is of MetalLB in a cluster.
type State int

// The states.
const (
	// Incomplete: nothing, or what an apply that did not end has left.
	Incomplete State = iota
	// Complete: this service's, as a whole.
	Complete
	// Foreign: one that somebody else installed.
	Foreign
)

// Run returns when Services are served, or when ctx ends, which is no error.
func (s *Service) Run(ctx context.Context) error {
	if len(s.Addrs) == 0 {
		return nil
	}
	err := s.Made(ctx)
	if err == nil {
		err = s.firstService(ctx)
	}
	if err == nil && wait.For(ctx, time.Duration(s.Turn)*turn) {
		s.serve(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// firstService returns when there is a Service that wants an address of ours.
func (s *Service) firstService(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.Kubeconfig, err)
	}
	config.UserAgent = "kluster-node"
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return fmt.Errorf("making a client of the API: %w", err)
	}
	// The API server tells only of these, so that others cost nothing.
	ofType := fields.OneTermEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer))
	list := cache.NewListWatchFromClient(client, "services", corev1.NamespaceAll, ofType)
	_, err = watchtools.UntilWithSync(ctx, list, &corev1.Service{}, nil, func(e watch.Event) (bool, error) {
		return e.Type != watch.Deleted && ours(e.Object), nil
	})
	return err
}

// ours says whether a Service is for the cluster's default load balancer: one with a
// class is for the one of that class.
func ours(o any) bool {
	service, ok := o.(*corev1.Service)
	return ok && service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil
}

// errForeign ends the tries: whoever installed MetalLB looks after it.
var errForeign = errors.New("there is a MetalLB that kluster has not installed; it is left alone")

// serve tries until MetalLB is there or ctx ends.
func (s *Service) serve(ctx context.Context) {
	told := ""
	for {
		err := s.ensure(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if err.Error() != told {
			s.Log.Warn("Services of type LoadBalancer are not served", "error", err)
			told = err.Error()
		}
		if errors.Is(err, errForeign) || !wait.For(ctx, retry) {
			return
		}
	}
}

func (s *Service) ensure(ctx context.Context) error {
	state, err := s.Cluster.State(ctx)
	if err != nil {
		return err
	}
	switch state {
	case Complete:
		return nil
	case Foreign:
		return errForeign
	}
	s.Log.Info("the first Service of type LoadBalancer is there: installing MetalLB", "addresses", fmt.Sprint(s.Addrs))
	began := time.Now()
	if err := s.Cluster.Apply(ctx, s.Addrs); err != nil {
		return err
	}
	s.Log.Info("MetalLB is installed", "took", time.Since(began).Round(time.Millisecond))
	return nil
}
