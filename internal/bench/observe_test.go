package bench

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestWatchSeesEverythingInItsOrder follows a cluster whose parts appear one
// after the other: container, kubeconfig, API, service account, nodes, pod.
func TestWatchSeesEverythingInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		after := func(d time.Duration) bool { return time.Since(began) >= d }
		e, tool := newFakeEngine(), fakeTool(klusterName)
		client := fake.NewClientset(node("a", corev1.ConditionFalse))
		client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			if !after(3 * time.Second) {
				return true, nil, errors.New("connection refused")
			}
			return false, nil, nil
		})
		client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
			if !after(4 * time.Second) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, probeName, errors.New("no service account"))
			}
			return false, nil, nil
		})
		var resolved time.Time
		o := &observer{
			engine: e, tool: tool, cluster: "x", every: pollEvery,
			connect: func(conf []byte, address string) (kubernetes.Interface, error) {
				if string(conf) != "x" || address != "10.0.0.0" {
					t.Errorf("connecting to %q with %q", address, conf)
				}
				return client, nil
			},
			readLog: func(context.Context, kubernetes.Interface, string) ([]byte, error) {
				return []byte(resolved.Format(time.RFC3339Nano) + " " + probeWord + "\n"), nil
			},
		}
		go func() {
			time.Sleep(time.Second)
			e.newContainers(tool, Cases[1], "x")
			time.Sleep(4 * time.Second)
			setReady(t, client, "a")
			time.Sleep(time.Second)
			if err := client.Tracker().Add(node("b", corev1.ConditionTrue)); err != nil {
				t.Error(err)
			}
			resolved = time.Now().Add(500 * time.Millisecond)
			time.Sleep(2 * time.Second) // the news takes its time, and does not count
			succeed(t, client)
		}()
		saw, err := o.watch(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name string
			at   time.Time
			want time.Duration
		}{
			{"api", saw.api, 3 * time.Second},
			{"ready", saw.ready, 6 * time.Second},
			{"resolved", saw.resolved, 6500 * time.Millisecond},
			{"usable", saw.usable(), 6500 * time.Millisecond},
		} {
			if late := test.at.Sub(began) - test.want; late < 0 || late > pollEvery {
				t.Errorf("%s was seen after %s, and was there after %s", test.name, test.at.Sub(began), test.want)
			}
		}
		if saw.kubelet != "v1.36.3" {
			t.Errorf("kubelet is %q", saw.kubelet)
		}
		if pods, _ := client.CoreV1().Pods(probeNamespace).List(t.Context(), metav1.ListOptions{}); len(pods.Items) > 0 {
			t.Error("the probe was left in the cluster")
		}
	})
}

func setReady(t *testing.T, client *fake.Clientset, name string) {
	t.Helper()
	if _, err := client.CoreV1().Nodes().UpdateStatus(t.Context(), node(name, corev1.ConditionTrue), metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
}

func succeed(t *testing.T, client *fake.Clientset) {
	t.Helper()
	pods := client.CoreV1().Pods(probeNamespace)
	pod, err := pods.Get(t.Context(), probeName, metav1.GetOptions{})
	if err == nil {
		pod.Status.Phase = corev1.PodSucceeded
		_, err = pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Error(err)
	}
}

// TestReadyAtTheSameTime sees that a node that was Ready once does not count
// when it no longer is, or has gone.
func TestReadyAtTheSameTime(t *testing.T) {
	a, b := node("a", corev1.ConditionTrue), node("b", corev1.ConditionTrue)
	for name, test := range map[string]struct {
		nodes []*corev1.Node
		want  int
	}{
		"both":           {[]*corev1.Node{a, b}, 2},
		"not any more":   {[]*corev1.Node{a, b, node("a", corev1.ConditionUnknown)}, 1},
		"the same twice": {[]*corev1.Node{a, a}, 1},
		"no condition":   {[]*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "c"}}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := readiness{}
			for _, n := range test.nodes {
				r.take(n)
			}
			if got := r.count(); got != test.want {
				t.Errorf("%d are Ready, want %d", got, test.want)
			}
		})
	}
}

func TestUsableIsTheLater(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	if got := (seen{ready: late, resolved: early}).usable(); got != late {
		t.Errorf("got %s", got)
	}
	if got := (seen{ready: early, resolved: late}).usable(); got != late {
		t.Errorf("got %s", got)
	}
}

// TestWatchSaysWhatIsMissing sees that each thing that does not come is named.
func TestWatchSaysWhatIsMissing(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*fakeEngine, *observer)
		want []string
	}{
		"no container":  {func(e *fakeEngine, _ *observer) { clear(e.clusters) }, []string{"no control plane's container"}},
		"no kubeconfig": {func(e *fakeEngine, _ *observer) { clear(e.files) }, []string{"admin.conf", "does not exist"}},
		"no image":      {func(_ *fakeEngine, o *observer) { o.tool.ProbeImage = "" }, []string{"no node reports", "agnhost"}},
		"no answer": {func(_ *fakeEngine, o *observer) {
			o.readLog = func(context.Context, kubernetes.Interface, string) ([]byte, error) { return nil, io.ErrUnexpectedEOF }
		}, []string{"resolve kubernetes.default", "unexpected EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, tool := newFakeEngine(), fakeTool(klusterName)
				e.newContainers(tool, Cases[0], "x")
				r, _ := newFakeRun(e, tool)
				o := r.newObserver(tool, "x")
				test.edit(e, o)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := o.watch(ctx, 1)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("got %v", err)
				}
				for _, want := range test.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v: does not say %q", err, want)
					}
				}
			})
		})
	}
}

func TestReportedImage(t *testing.T) {
	for name, test := range map[string]struct {
		images []string
		want   string
	}{
		"best first": {[]string{"example.com/busybox:1", "registry.k8s.io/e2e-test-images/agnhost:2.63.0"}, "registry.k8s.io/e2e-test-images/agnhost:2.63.0"},
		"kind's":     {[]string{"docker.io/kindest/local-path-helper@sha256:0", "docker.io/kindest/local-path-helper:v1"}, "docker.io/kindest/local-path-helper:v1"},
		"none":       {[]string{"registry.k8s.io/pause:3.10"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(node("a", corev1.ConditionTrue), node("b", corev1.ConditionTrue, test.images...))
			got, err := reportedImage(t.Context(), client)
			if got != test.want || (err != nil) != (test.want == "") {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestPrintedAt(t *testing.T) {
	log := "2026-11-21T08:52:58.9Z sh: noise\n2026-11-21T08:52:59.123456789Z resolved\n2026-11-21T08:53:00Z resolved\n"
	got, err := printedAt([]byte(log), probeWord)
	if want := time.Date(2026, 11, 21, 8, 52, 59, 123456789, time.UTC); err != nil || !got.Equal(want) {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	for _, log := range []string{"", "2026-11-21T08:52:58.9Z unresolved\n", "soon resolved\n"} {
		if got, err := printedAt([]byte(log), probeWord); err == nil {
			t.Errorf("%q: got %s", log, got)
		}
	}
}

// TestProbeIsOrdinary sees that the pod waits for what a user's would: it bears
// the taint of control planes alone.
func TestProbeIsOrdinary(t *testing.T) {
	pod := probePod("x")
	if len(pod.Spec.Tolerations) != 1 || pod.Spec.Tolerations[0].Key != "node-role.kubernetes.io/control-plane" {
		t.Errorf("tolerations: %v", pod.Spec.Tolerations)
	}
	if pod.Spec.HostNetwork || pod.Spec.NodeName != "" {
		t.Error("the probe goes around the scheduler or the pod network")
	}
	// Kubernetes takes a doubled dollar sign in a command for a single one.
	if strings.Contains(pod.Spec.Containers[0].Command[2], "$") {
		t.Errorf("a dollar sign in the script: %s", pod.Spec.Containers[0].Command[2])
	}
}
