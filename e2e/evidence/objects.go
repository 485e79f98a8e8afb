package evidence

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// runLabel is on every namespace that Kubernetes' e2e framework makes; its value is
// that of the process.
const runLabel = "e2e-run"

// namespaces finds those of the spec, and collects what is in them.
func (s *scene) namespaces(ctx context.Context) error {
	list, err := s.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: s.selector()})
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
	kinds, err := s.listable(ctx)
	for _, k := range kinds {
		for _, ns := range s.spaces {
			s.ask(ctx, k.file+" of "+ns, func(ctx context.Context) error { return s.objects(ctx, k, ns) })
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

// kind is a kind of objects that namespaces hold.
type kind struct {
	resource schema.GroupVersionResource
	file     string // "pods", "deployments.apps"
}

// listable asks what namespaces can hold, resources of the spec's own too.
func (s *scene) listable(ctx context.Context) ([]kind, error) {
	var kinds []kind
	for _, path := range []string{"/api", "/apis"} {
		groups, err := s.discover(ctx, path)
		if err != nil {
			return kinds, fmt.Errorf("asking %s for kinds of objects: %w", path, err)
		}
		for _, g := range groups {
			kinds = append(kinds, kindsOf(g)...)
		}
	}
	return kinds, nil
}

// aggregated is the form of discovery that tells all at once.
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// discover is what package discovery does without a context.
func (s *scene) discover(ctx context.Context, path string) ([]apidiscoveryv2.APIGroupDiscovery, error) {
	data, err := s.client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", aggregated).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var list apidiscoveryv2.APIGroupDiscoveryList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	return list.Items, nil
}

// kindsOf are the kinds of a group, each in the version that the server prefers.
func kindsOf(g apidiscoveryv2.APIGroupDiscovery) []kind {
	var kinds []kind
	seen := map[string]bool{"events": true} // they have a form of their own
	for _, v := range g.Versions {
		for _, r := range v.Resources {
			if r.Scope != apidiscoveryv2.ScopeNamespace || !slices.Contains(r.Verbs, "list") || seen[r.Resource] {
				continue
			}
			seen[r.Resource] = true
			kinds = append(kinds, kind{
				schema.GroupVersionResource{Group: g.Name, Version: v.Version, Resource: r.Resource},
				strings.TrimSuffix(r.Resource+"."+g.Name, "."),
			})
		}
	}
	return kinds
}

// mostObjects of a kind are taken.
const mostObjects = 200

func (s *scene) objects(ctx context.Context, k kind, ns string) error {
	list, err := s.dynamic.Resource(k.resource).Namespace(ns).List(ctx, metav1.ListOptions{Limit: mostObjects})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil // a kind that has gone, or was never kept
	}
	if err != nil || len(list.Items) == 0 {
		return err
	}
	for i := range list.Items {
		strip(&list.Items[i])
	}
	text, err := yaml.Marshal(list.UnstructuredContent())
	if err != nil {
		return err
	}
	s.files.put(ns+"/"+k.file+".yaml", text, mostOfFile, head)
	if left := list.GetRemainingItemCount(); left != nil && *left > 0 {
		return fmt.Errorf("%d more than %d", *left, mostObjects)
	}
	return nil
}

func (s *scene) events(ctx context.Context, ns string) error {
	list, err := s.client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	s.files.put(ns+"/events.txt", eventTable(list.Items), mostOfFile, tail)
	return nil
}

// nodeEvents are those of nodes since the spec started.
func (s *scene) nodeEvents(ctx context.Context) error {
	list, err := s.client.CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=Node"})
	if err != nil {
		return err
	}
	since := slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return eventTime(&e).Before(s.start.Truncate(time.Second)) })
	s.files.put("nodes/events.txt", eventTable(since), mostOfFile, tail)
	return nil
}

// eventTable is one line per event, in the order they happened.
func eventTable(events []corev1.Event) []byte {
	slices.SortStableFunc(events, func(a, b corev1.Event) int {
		return cmp.Or(eventTime(&a).Compare(eventTime(&b)), strings.Compare(a.Name, b.Name))
	})
	var b strings.Builder
	for _, e := range events {
		times := ""
		if n := max(e.Count, seriesCount(&e)); n > 1 {
			times = fmt.Sprintf(" (%d times)", n)
		}
		fmt.Fprintf(&b, "%s %-7s %s %s/%s%s: %s\n", eventTime(&e).UTC().Format(clock), e.Type, e.Reason,
			strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, times, strings.Join(strings.Fields(e.Message), " "))
	}
	return []byte(b.String())
}

// clock is how times are written, in UTC as the nodes' journals.
const clock = "2006-01-02 15:04:05.000"

// eventTime is when an event happened last.
func eventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

func seriesCount(e *corev1.Event) int32 {
	if e.Series == nil {
		return 0
	}
	return e.Series.Count
}
