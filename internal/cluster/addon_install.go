package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
)

// install installs the add-ons, one after the other. One that fails is removed again,
// unless it was there before; those before it stay.
func (j *addonJob) install(ctx context.Context, v addons.Values, step status.Step) error {
	for i, a := range j.all {
		one := step.Step(a.Name, 0)
		err := j.installOne(ctx, i, v, one)
		one.End(err)
		if err != nil {
			return fmt.Errorf("add-on %s: %w", a.Name, err)
		}
	}
	return nil
}

func (j *addonJob) installOne(ctx context.Context, i int, v addons.Values, step status.Step) error {
	objects, err := j.render(i, v)
	if err != nil {
		return err
	}
	before, err := readRecord(ctx, j.client, j.all[i].Name)
	if err != nil {
		return err
	}
	if before == nil {
		if err := refuseOthers(ctx, j.client, j.all[i].Name, objects); err != nil {
			return err
		}
	}
	r := record{Name: j.all[i].Name, Requires: j.all[i].Requires}
	stages := inStages(objects)
	for _, stage := range stages {
		r.Stages = append(r.Stages, referencesOf(stage))
	}
	gone := before.without(r)
	r.Stages = append(gone, r.Stages...) // whoever uninstalls it now must know of all
	if err := r.write(ctx, j.client); err != nil {
		return err
	}
	err = j.applyStages(ctx, stages, step)
	if err == nil {
		err = remove(ctx, j.client, gone, step)
	}
	if err == nil {
		r.Installed, r.Stages = true, r.Stages[len(gone):]
		return r.write(ctx, j.client)
	}
	if ctx.Err() != nil {
		err = causeOf(ctx, err)
	}
	if before != nil {
		return err
	}
	return errors.Join(err, j.takeBack(ctx, r, step))
}

// refuseOthers fails if the cluster has one of an add-on's objects already, which
// somebody else has made: to install it would change that, and to remove it delete it.
func refuseOthers(ctx context.Context, client dynamic.Interface, addon string, objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		var have *unstructured.Unstructured
		err := persist(ctx, "looking for "+o.GetKind()+" "+o.GetName(), func(ctx context.Context) (err error) {
			have, err = resource(client, reference(o)).Get(ctx, o.GetName(), metav1.GetOptions{})
			return unless(err, apierrors.IsNotFound) // also of a kind that is not there yet
		})
		if err != nil {
			return err
		}
		if have != nil && have.GetName() != "" && have.GetLabels()[addonLabel] != addon {
			return failure.With(fmt.Errorf("the cluster has a %s %s that is not the add-on's; nothing was changed", o.GetKind(), o.GetName()),
				failure.Hint("use that one, or remove it before you install the add-on"))
		}
	}
	return nil
}

// takeBackTime bounds the removal of what a failed install has made; it has a context
// of its own, since the install's may have ended.
const takeBackTime = time.Minute

func (j *addonJob) takeBack(ctx context.Context, r record, step status.Step) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackTime)
	defer cancel()
	if err := r.uninstall(clean, j.client, step); err != nil {
		return fmt.Errorf("removing what was made: %w", err)
	}
	return nil
}

func (j *addonJob) applyStages(ctx context.Context, stages [][]*unstructured.Unstructured, step status.Step) error {
	for _, stage := range stages {
		for _, o := range stage {
			err := persist(ctx, "applying "+o.GetKind()+" "+o.GetName(), func(ctx context.Context) error {
				err := applyObject(ctx, j.client, o)
				if err != nil && apierrors.IsNotFound(err) {
					return apierrors.NewServiceUnavailable(err.Error()) // a kind that an API server does not know of yet
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		if err := waitFor(ctx, j.client, stage, step); err != nil {
			return err
		}
	}
	return nil
}

const crdKind = "CustomResourceDefinition"

// inStages parts objects into those that must be there before the next ones: kinds and
// namespaces, then what gives the kinds a meaning (a webhook refuses objects until its
// pods run), and the objects of these kinds last.
func inStages(objects []*unstructured.Unstructured) [][]*unstructured.Unstructured {
	stages := make([][]*unstructured.Unstructured, 3)
	for _, o := range objects {
		at := 1
		switch {
		case o.GetKind() == crdKind || o.GetKind() == "Namespace":
			at = 0
		case !builtInGroup(o.GroupVersionKind().Group):
			at = 2
		}
		stages[at] = append(stages[at], o)
	}
	return slices.DeleteFunc(stages, func(s []*unstructured.Unstructured) bool { return len(s) == 0 })
}

// builtInGroup says whether Kubernetes itself serves an API group.
func builtInGroup(group string) bool {
	return scheme.Scheme.IsGroupRegistered(group) || group == "apiregistration.k8s.io" || group == "apiextensions.k8s.io"
}

// waitPoll is how often objects are looked at that are waited for.
const waitPoll = 200 * time.Millisecond

// waitFor returns when all objects of kinds that can be waited for work.
func waitFor(ctx context.Context, client dynamic.Interface, objects []*unstructured.Unstructured, step status.Step) error {
	for _, o := range objects {
		lacking := lacks[o.GetKind()]
		if lacking == nil {
			continue
		}
		if err := waitForOne(ctx, client, o, lacking, step); err != nil {
			return err
		}
	}
	return nil
}

func waitForOne(ctx context.Context, client dynamic.Interface, o *unstructured.Unstructured, lacking func(*unstructured.Unstructured) string, step status.Step) error {
	name := o.GetKind() + " " + o.GetName()
	for {
		var why string
		bounded, cancel := context.WithTimeout(ctx, requestTime)
		now, err := resource(client, reference(o)).Get(bounded, o.GetName(), metav1.GetOptions{})
		if err != nil {
			why = err.Error()
		} else {
			why = lacking(now)
		}
		cancel()
		if why == "" {
			return nil
		}
		step.Detail(name + ": " + why)
		if wait.For(ctx, waitPoll) {
			continue
		}
		why = strings.Join(append([]string{why}, podsOf(ctx, client, o)...), "; ")
		return fmt.Errorf("waiting for %s (%s): %w", name, why, context.Cause(ctx))
	}
}

var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// podsOf tells, as far as the API answers, what the pods of an object's add-on that are
// not ready wait for: they are about to go, and with them what they could tell.
func podsOf(ctx context.Context, client dynamic.Interface, o *unstructured.Unstructured) []string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	defer cancel()
	list, err := client.Resource(pods).List(ctx, metav1.ListOptions{LabelSelector: addonLabel + "=" + o.GetLabels()[addonLabel]})
	if err != nil {
		return nil
	}
	var told []string
	for _, item := range list.Items {
		var pod corev1.Pod
		if runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &pod) == nil && !finished(&pod) {
			told = append(told, "pod "+pod.Name+": "+podState(&pod))
		}
	}
	return told
}

// finished says whether a pod is ready, or has ended well.
func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// lacks tells, by kind, what an object lacks to be of use: "" for nothing.
var lacks = map[string]func(*unstructured.Unstructured) string{
	crdKind:       conditionLacking("Established"),
	"APIService":  conditionLacking("Available"),
	"Deployment":  replicasLacking("replicas", "updatedReplicas", "availableReplicas"),
	"StatefulSet": replicasLacking("replicas", "updatedReplicas", "readyReplicas"),
	"DaemonSet":   daemonsLacking,
}

func conditionLacking(kind string) func(*unstructured.Unstructured) string {
	return func(o *unstructured.Unstructured) string {
		list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, one := range list {
			c, _ := one.(map[string]any)
			if c["type"] != kind {
				continue
			}
			if c["status"] == "True" {
				return ""
			}
			return strings.TrimSpace(fmt.Sprint(c["reason"], " ", c["message"]))
		}
		return "it is not " + kind + " yet"
	}
}

// seen says whether an object's controller has seen its last change.
func seen(o *unstructured.Unstructured) bool {
	at, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	return at >= o.GetGeneration()
}

func replicasLacking(wanted string, fields ...string) func(*unstructured.Unstructured) string {
	return func(o *unstructured.Unstructured) string {
		want, set, _ := unstructured.NestedInt64(o.Object, "spec", wanted)
		if !set {
			want = 1
		}
		return countsLacking(o, want, fields...)
	}
}

func daemonsLacking(o *unstructured.Unstructured) string {
	want, _, _ := unstructured.NestedInt64(o.Object, "status", "desiredNumberScheduled")
	return countsLacking(o, want, "updatedNumberScheduled", "numberAvailable")
}

func countsLacking(o *unstructured.Unstructured, want int64, fields ...string) string {
	if !seen(o) {
		return "its controller has not seen it yet"
	}
	for _, f := range fields {
		if have, _, _ := unstructured.NestedInt64(o.Object, "status", f); have < want {
			return fmt.Sprintf("%s %d of %d", f, have, want)
		}
	}
	return ""
}

// resource is where an object is got from and deleted.
func resource(client dynamic.Interface, r objectReference) dynamic.ResourceInterface {
	kind := resourceOf(r.groupVersionKind())
	if r.Namespace == "" {
		return client.Resource(kind)
	}
	return client.Resource(kind).Namespace(r.Namespace)
}
