package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
)

// dnsPod is a pod of cluster DNS whose container runs, or not, and is ready, or not.
func dnsPod(name string, running, ready bool) *corev1.Pod {
	status := corev1.ContainerStatus{Ready: ready}
	if running {
		status.State.Running = &corev1.ContainerStateRunning{}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceSystem, Labels: map[string]string{"k8s-app": "kube-dns"}},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{status}},
	}
}

func TestNudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(dnsPod("starting", false, false), dnsPod("unready", true, false), dnsPod("ready", true, true))
		c := &creation{client: client, dnsRuns: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.nudgeDNS(ctx); close(done) }()
		time.Sleep(3 * nudgeEvery)
		synctest.Wait()
		annotation := func(pod string) (string, bool) {
			p, err := client.CoreV1().Pods(metav1.NamespaceSystem).Get(t.Context(), pod, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			value, ok := p.Annotations[nudgeAnnotation]
			return value, ok
		}
		if value, _ := annotation("unready"); value != "2" {
			t.Errorf("the pod that is not ready was nudged %q times", value)
		}
		for _, pod := range []string{"starting", "ready"} {
			if _, ok := annotation(pod); ok {
				t.Errorf("pod %s was nudged", pod)
			}
		}
		cancel()
		<-done
		if _, ok := annotation("unready"); ok {
			t.Error("the annotation stays")
		}
	})
}

func TestDNSRunsWhenAllItsPodsDo(t *testing.T) {
	for name, tc := range map[string]struct {
		pods []runtime.Object
		want bool
	}{
		"no pods yet":   {nil, false},
		"one is made":   {[]runtime.Object{dnsPod("a", true, false), dnsPod("b", false, false)}, false},
		"no status yet": {[]runtime.Object{&corev1.Pod{ObjectMeta: dnsPod("a", true, false).ObjectMeta}}, false},
		"all run":       {[]runtime.Object{dnsPod("a", true, false), dnsPod("b", true, true)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &creation{client: fake.NewClientset(tc.pods...), dnsRuns: make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { c.nudgeDNS(ctx); close(done) }()
				time.Sleep(2 * nudgeEvery)
				synctest.Wait()
				if got := isClosed(c.dnsRuns); got != tc.want {
					t.Errorf("runs: %v", got)
				}
				cancel()
				<-done
				if !isClosed(c.dnsRuns) {
					t.Error("whoever waits for it would wait on")
				}
			})
		})
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
