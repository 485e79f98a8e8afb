package netpol

import (
	"context"
	"reflect"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// following is a set of objects that is kept up to date.
type following[T runtime.Object] struct {
	store  cache.Store
	synced func() bool
	stop   func()
}

// follow lists and watches objects until ctx ends or it is stopped. It calls
// changed when they were listed, and for changes that matter here.
func follow[T runtime.Object](ctx context.Context, source cache.ListerWatcher, changed func()) *following[T] {
	ctx, cancel := context.WithCancel(ctx)
	var kind T
	object := reflect.New(reflect.TypeOf(kind).Elem()).Interface().(runtime.Object)
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source, ObjectType: object, Transform: strip,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { changed() },
			DeleteFunc: func(any) { changed() },
			UpdateFunc: func(before, after any) {
				if !same(before, after) {
					changed()
				}
			},
		},
	})
	var group sync.WaitGroup
	group.Go(func() { controller.RunWithContext(ctx) })
	group.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
			changed() // there may be none
		}
	})
	return &following[T]{store: store, synced: controller.HasSynced, stop: func() { cancel(); group.Wait() }}
}

// list gives the objects, once they were listed. They are not to be changed.
func (f *following[T]) list() ([]T, bool) {
	if !f.synced() {
		return nil, false
	}
	var all []T
	for _, o := range f.store.List() {
		all = append(all, o.(T))
	}
	return all, true
}

// strip leaves of an object what policies are about: a node keeps that of all pods
// of the cluster, and those report their health all the time.
func strip(o any) (any, error) {
	switch o := o.(type) {
	case *corev1.Pod:
		return &corev1.Pod{
			ObjectMeta: metadata(o.ObjectMeta),
			Spec: corev1.PodSpec{
				NodeName: o.Spec.NodeName, HostNetwork: o.Spec.HostNetwork,
				Containers: containers(o.Spec.Containers), InitContainers: containers(o.Spec.InitContainers),
			},
			Status: corev1.PodStatus{Phase: o.Status.Phase, PodIPs: o.Status.PodIPs},
		}, nil
	case *corev1.Namespace:
		return &corev1.Namespace{ObjectMeta: metadata(o.ObjectMeta)}, nil
	case *networkingv1.NetworkPolicy:
		return &networkingv1.NetworkPolicy{ObjectMeta: metadata(o.ObjectMeta), Spec: o.Spec}, nil
	}
	return o, nil
}

func metadata(m metav1.ObjectMeta) metav1.ObjectMeta {
	kept := metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Labels: m.Labels}
	if hash := m.Annotations[hashKey]; hash != "" {
		kept.Annotations = map[string]string{hashKey: hash}
	}
	return kept
}

// containers that have named ports, which are all that is kept of them.
func containers(all []corev1.Container) []corev1.Container {
	var kept []corev1.Container
	for _, c := range all {
		var ports []corev1.ContainerPort
		for _, p := range c.Ports {
			if p.Name != "" {
				ports = append(ports, corev1.ContainerPort{Name: p.Name, Protocol: p.Protocol, ContainerPort: p.ContainerPort})
			}
		}
		if len(ports) > 0 {
			kept = append(kept, corev1.Container{Ports: ports})
		}
	}
	return kept
}

// same says whether two states of an object differ in nothing but their version.
func same(before, after any) bool {
	a, okA := before.(metav1.Object)
	b, okB := after.(metav1.Object)
	if !okA || !okB {
		return false
	}
	if a.GetResourceVersion() == b.GetResourceVersion() {
		return true
	}
	copied := after.(runtime.Object).DeepCopyObject()
	copied.(metav1.Object).SetResourceVersion(a.GetResourceVersion())
	return reflect.DeepEqual(before, copied)
}
