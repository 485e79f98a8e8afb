package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
)

const (
	// addonLabel is on everything of an add-on, with its name.
	addonLabel = "kluster.dev/addon"
	// recordPrefix and the name of an add-on are the name of its record, a ConfigMap
	// of recordNamespace whose recordKey is the record as JSON.
	recordPrefix    = "kluster-addon-"
	recordNamespace = metav1.NamespaceSystem
	recordKey       = "record.json"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// record is what a cluster knows of an add-on that is installed there: enough to remove
// it, whatever program made it.
type record struct {
	Name     string   `json:"name"`
	Requires []string `json:"requires,omitempty"`
	// Installed: an install has ended well.
	Installed bool `json:"installed"`
	// Stages are its objects in the order in which they were applied.
	Stages [][]objectReference `json:"stages"`
}

// objectReference names an object.
type objectReference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

func reference(o *unstructured.Unstructured) objectReference {
	return objectReference{o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName()}
}

func referencesOf(objects []*unstructured.Unstructured) []objectReference {
	var all []objectReference
	for _, o := range objects {
		all = append(all, reference(o))
	}
	return all
}

func (r objectReference) groupVersionKind() schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(r.APIVersion, r.Kind)
}

// sameObject disregards versions, of which a group may have several for one object.
func (r objectReference) sameObject(o objectReference) bool {
	return r.groupVersionKind().GroupKind() == o.groupVersionKind().GroupKind() && r.Namespace == o.Namespace && r.Name == o.Name
}

// without are those objects of a record, nil for none, that another does not have.
func (r *record) without(other record) [][]objectReference {
	if r == nil {
		return nil
	}
	kept := slices.Concat(other.Stages...)
	var out [][]objectReference
	for _, stage := range r.Stages {
		left := slices.DeleteFunc(slices.Clone(stage), func(o objectReference) bool {
			return slices.ContainsFunc(kept, o.sameObject)
		})
		if len(left) > 0 {
			out = append(out, left)
		}
	}
	return out
}

// readRecord gives the record of an add-on, nil if it is not installed.
func readRecord(ctx context.Context, client dynamic.Interface, name string) (*record, error) {
	var found *record
	err := persist(ctx, "reading what is installed", func(ctx context.Context) error {
		o, err := client.Resource(configMaps).Namespace(recordNamespace).Get(ctx, recordPrefix+name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			found, err = parseRecord(o)
		}
		return err
	})
	return found, err
}

// readRecords gives those of all add-ons that are installed, by name.
func readRecords(ctx context.Context, client dynamic.Interface) ([]record, error) {
	var all []record
	err := persist(ctx, "reading what is installed", func(ctx context.Context) error {
		list, err := client.Resource(configMaps).Namespace(recordNamespace).List(ctx, metav1.ListOptions{LabelSelector: addonLabel})
		if err != nil {
			return err
		}
		all = nil
		for i := range list.Items {
			if !strings.HasPrefix(list.Items[i].GetName(), recordPrefix) {
				continue // a ConfigMap of the add-on's own
			}
			r, err := parseRecord(&list.Items[i])
			if err != nil {
				return err
			}
			all = append(all, *r)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b record) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

func parseRecord(o *unstructured.Unstructured) (*record, error) {
	text, _, err := unstructured.NestedString(o.Object, "data", recordKey)
	r := &record{}
	if err == nil {
		err = json.Unmarshal([]byte(text), r)
	}
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	return r, nil
}

func (r record) write(ctx context.Context, client dynamic.Interface) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the record of %s: %w", r.Name, err)
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"name": recordPrefix + r.Name, "namespace": recordNamespace, "labels": map[string]any{addonLabel: r.Name},
		},
		"data": map[string]any{recordKey: string(text)},
	}}
	return persist(ctx, "recording what is installed", func(ctx context.Context) error { return applyObject(ctx, client, o) })
}

// uninstall removes all objects of a record, and it itself.
func (r record) uninstall(ctx context.Context, client dynamic.Interface, step status.Step) error {
	if err := remove(ctx, client, r.Stages, step); err != nil {
		return err
	}
	own := [][]objectReference{{{APIVersion: "v1", Kind: "ConfigMap", Namespace: recordNamespace, Name: recordPrefix + r.Name}}}
	return remove(ctx, client, own, step)
}

// remove deletes objects, the last stage first, and returns when each stage is gone
// with all that its objects own: what ends the last ones of a kind may run in pods of
// the stage before.
func remove(ctx context.Context, client dynamic.Interface, stages [][]objectReference, step status.Step) error {
	foreground := metav1.DeletePropagationForeground
	for _, stage := range slices.Backward(stages) {
		for _, o := range slices.Backward(stage) {
			err := persist(ctx, "deleting "+o.Kind+" "+o.Name, func(ctx context.Context) error {
				err := resource(client, o).Delete(ctx, o.Name, metav1.DeleteOptions{PropagationPolicy: &foreground})
				return unless(err, apierrors.IsNotFound)
			})
			if err != nil {
				return err
			}
		}
		for _, o := range stage {
			if err := waitGone(ctx, client, o, step); err != nil {
				return err
			}
		}
	}
	return nil
}

func waitGone(ctx context.Context, client dynamic.Interface, o objectReference, step status.Step) error {
	for {
		bounded, cancel := context.WithTimeout(ctx, requestTime)
		_, err := resource(client, o).Get(bounded, o.Name, metav1.GetOptions{})
		cancel()
		if apierrors.IsNotFound(err) {
			return nil
		}
		step.Detail("waiting for the end of " + o.Kind + " " + o.Name)
		if !wait.For(ctx, waitPoll) {
			return errors.Join(fmt.Errorf("waiting for the end of %s %s: %w", o.Kind, o.Name, context.Cause(ctx)), err)
		}
	}
}
