package evidence

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/internal/bundle"
	"github.com/kluster-project/kluster/internal/inventory"
)

// runLabel is on every namespace that Kubernetes' e2e framework makes; its value is
// that of the process.
const runLabel = "e2e-run"

// namespaces finds those of the spec, and collects what is in them.
func (s *scene) namespaces(ctx context.Context) error {
	list, err := s.api.Client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: s.selector()})
	if err != nil {
		return err
	}
	s.spaces = s.ours(list.Items)
	for _, ns := range s.spaces {
		s.ask(ctx, "events of "+ns, func(ctx context.Context) error { return s.events(ctx, ns) })
		s.ask(ctx, "pods of "+ns, func(ctx context.Context) error { return s.pods(ctx, ns, nil) })
	}
	if len(s.spaces) == 0 {
		return nil
	}
	kinds, err := s.api.Kinds(ctx)
	for _, k := range kinds {
		if !k.Namespaced {
			continue
		}
		for _, ns := range s.spaces {
			s.ask(ctx, k.Name+" of "+ns, func(ctx context.Context) error { return s.objects(ctx, k, ns) })
		}
	}
	return err
}

func (s *scene) selector() string {
	if s.event.RunID == "" {
		return ""
	}
	return runLabel + "=" + s.event.RunID
}

// ours are the namespaces of this spec: those made since it started, since those of
// the process's earlier specs may still be going. Where there are none, for nobody
// knows the start or clocks differ, those that are not going.
func (s *scene) ours(list []corev1.Namespace) []string {
	var since, staying []string
	for _, ns := range list {
		// The API tells whole seconds.
		if !s.start.IsZero() && !ns.CreationTimestamp.Time.Before(s.start.Truncate(time.Second)) {
			since = append(since, ns.Name)
		}
		if s.event.RunID != "" && ns.DeletionTimestamp == nil {
			staying = append(staying, ns.Name)
		}
	}
	if len(since) > 0 {
		return since
	}
	return staying
}

func (s *scene) objects(ctx context.Context, k inventory.Kind, ns string) error {
	text, err := s.api.Objects(ctx, k, ns)
	s.files.Put(ns+"/"+k.Name+".yaml", text, mostOfFile, bundle.Head)
	return err
}

func (s *scene) events(ctx context.Context, ns string) error {
	list, err := s.api.Client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	s.files.Put(ns+"/events.txt", inventory.EventTable(list.Items), mostOfFile, bundle.Tail)
	return nil
}

// nodeEvents are those of nodes since the spec started.
func (s *scene) nodeEvents(ctx context.Context) error {
	list, err := s.api.Client.CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=Node"})
	if err != nil {
		return err
	}
	since := slices.DeleteFunc(list.Items, func(e corev1.Event) bool {
		return inventory.EventTime(&e).Before(s.start.Truncate(time.Second))
	})
	s.files.Put("nodes/events.txt", inventory.EventTable(since), mostOfFile, bundle.Tail)
	return nil
}
