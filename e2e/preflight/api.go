package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kluster-project/kluster/internal/wait"
)

// unreachable says why the API did not answer.
func unreachable(ctx context.Context, err error) Problem {
	p := Problem{Level: Error, What: "the API server does not answer", Cause: oneLine(err)}
	switch {
	case apierrors.IsUnauthorized(err), apierrors.IsForbidden(err):
		p.What = "the API server refuses this user"
		p.Next = "use a kubeconfig with a cluster administrator's credentials that are still valid"
	default:
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			p.Cause = fmt.Sprintf("%v (%s)", cause, p.Cause)
		}
		p.Next = "see that the cluster runs (kluster get clusters) and that the kubeconfig names its address: kubectl get --raw /readyz"
	}
	return p
}

// version holds the suite's version against the server's.
func (e *examination) version(context.Context) []Problem {
	if e.Version == "" {
		return nil
	}
	suite, err := version.ParseGeneric(e.Version)
	if err != nil {
		return notKnown("the suite's version", err)
	}
	server, err := version.ParseGeneric(e.server)
	if err != nil {
		return notKnown("the API server's version", err)
	}
	p := Problem{
		What: fmt.Sprintf("the suite is of Kubernetes %s, the API server of %s", e.Version, e.server),
		Next: fmt.Sprintf("use a suite of %s, or a cluster of %s", release(server), release(suite)),
	}
	switch {
	case suite.Major() != server.Major() || suite.Minor() != server.Minor():
		p.Level, p.Cause = Error, "specs of another minor version ask for what the server has not, or not any more"
	case suite.Patch() != server.Patch():
		p.Level, p.Cause = Warning, "a few specs change between patch releases"
	default:
		return nil
	}
	return []Problem{p}
}

// release is a version without what a distribution adds.
func release(v *version.Version) string {
	return fmt.Sprintf("v%d.%d.%d", v.Major(), v.Minor(), v.Patch())
}

// rights sees that the user may do all: specs make cluster roles, nodes, webhooks.
func (e *examination) rights(ctx context.Context) []Problem {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "*", Group: "*", Resource: "*"},
	}}
	answer, err := e.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	switch {
	case err != nil:
		return notKnown("what this user may do", err)
	case answer.Status.Allowed || !e.upstream():
		return nil
	}
	return []Problem{{
		Error, "this user may not do everything", "specs act as a cluster administrator",
		"use a kubeconfig whose user is bound to the cluster role cluster-admin",
	}}
}

// youth is how long a pod may take to get ready: that of a cluster that was just
// made is found ready by its kubelet's next probe.
const (
	youth     = 90 * time.Second
	lookAgain = 500 * time.Millisecond
)

// systemPods applies the rule by which Kubernetes' suite decides to start: all pods
// of kube-system run and are ready, or have ended well. Young ones are waited for, where
// the cluster is fit otherwise.
func (e *examination) systemPods(ctx context.Context) []Problem {
	for {
		pods, err := e.client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
		if err != nil {
			return notKnown("the pods of "+metav1.NamespaceSystem, err)
		}
		troubled := slices.DeleteFunc(slices.Clone(pods.Items), func(pod corev1.Pod) bool { return podTrouble(&pod) == "" })
		if len(troubled) == 0 {
			return nil
		}
		if e.unfit || slices.ContainsFunc(troubled, isGrownUp) || !wait.For(ctx, lookAgain) {
			return e.notReadyPods(troubled, len(pods.Items))
		}
	}
}

func isGrownUp(pod corev1.Pod) bool { return time.Since(pod.CreationTimestamp.Time) > youth }

func (e *examination) notReadyPods(troubled []corev1.Pod, all int) []Problem {
	var why []string
	for _, pod := range troubled {
		why = append(why, pod.Name+" ("+podTrouble(&pod)+")")
	}
	return []Problem{{
		e.severe(), fmt.Sprintf("%d of %d pods of %s are not ready", len(troubled), all, metav1.NamespaceSystem), strings.Join(why, ", "),
		fmt.Sprintf("wait until they are, or see why: kubectl -n %s describe pod %s", metav1.NamespaceSystem, troubled[0].Name),
	}}
}

// severe is the level of what keeps Kubernetes' suite from starting.
func (e *examination) severe() Level {
	if e.upstream() {
		return Error
	}
	return Warning
}

// podTrouble is why a pod is neither ready nor done; "" if it is.
func podTrouble(pod *corev1.Pod) string {
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return ""
	case corev1.PodFailed:
		if metav1.GetControllerOf(pod) != nil {
			return "" // its controller makes another
		}
		return "failed: " + pod.Status.Reason
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return ""
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil && w.Reason != "" {
			return w.Reason
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			return c.Message
		}
	}
	return strings.ToLower(string(pod.Status.Phase))
}

// leftovers are namespaces of a run that could not tidy up: their pods take the
// room that specs of scheduling count on.
func (e *examination) leftovers(ctx context.Context) []Problem {
	list, err := e.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: runLabel})
	if err != nil {
		return notKnown("the namespaces", err)
	}
	if len(list.Items) == 0 {
		return nil
	}
	var names []string
	for _, ns := range list.Items {
		names = append(names, ns.Name)
	}
	return []Problem{{
		Warning, "namespaces of an earlier run are left: " + some(names),
		"what runs in them takes room, and fails specs that count pods or nodes' resources",
		"kubectl delete namespaces -l " + runLabel,
	}}
}

// runLabel is on every namespace that Kubernetes' e2e framework makes.
const runLabel = "e2e-run"

// some names the first few.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
