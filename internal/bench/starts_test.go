package bench

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// slowPods is a node that needs so long to start each pod, and then as long as news
// until the API says so.
type slowPods struct {
	client *fake.Clientset
	delays map[string]time.Duration
	news   time.Duration
	mu     sync.Mutex
	ran    map[string]time.Time
}

func newSlowPods(t *testing.T, news time.Duration, delays map[string]time.Duration) *slowPods {
	t.Helper()
	s := &slowPods{client: fake.NewClientset(), delays: delays, news: news, ran: map[string]time.Time{}}
	s.client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		pod := a.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
		go s.run(t, pod.DeepCopy())
		return false, nil, nil
	})
	return s
}

func (s *slowPods) run(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	time.Sleep(s.delays[pod.Name])
	s.mu.Lock()
	s.ran[pod.Name] = time.Now()
	s.mu.Unlock()
	time.Sleep(s.news)
	pod.Status.Phase = corev1.PodRunning
	if _, err := s.client.CoreV1().Pods(pod.Namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
}

func (s *slowPods) readLog(_ context.Context, _ kubernetes.Interface, pod string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(s.ran[pod].Format(time.RFC3339Nano) + " " + startedWord + "\n"), nil
}

func (s *slowPods) cluster() *pairCluster {
	r := &run{readLog: s.readLog, opt: Options{Timeout: time.Minute, Amounts: Amounts{Sequence: 2, Burst: 3}}}
	return &pairCluster{cluster: &cluster{run: r}, client: s.client, node: "n"}
}

// TestStart sees that each pod's times are its own, and that the news does not
// count for its start.
func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := newSlowPods(t, 300*time.Millisecond, map[string]time.Duration{
			"bench-burst-1": time.Second, "bench-burst-2": 2 * time.Second, "bench-burst-3": 500 * time.Millisecond,
			"bench-turn-1": time.Second, "bench-turn-2": 3 * time.Second,
		})
		p, s := slow.cluster(), RuntimeSample{}
		if err := errors.Join(p.startInTurn(t.Context(), &s), p.startAtOnce(t.Context(), &s)); err != nil {
			t.Fatal(err)
		}
		want := RuntimeSample{
			Starts: []PodStart{{1, 1.3}, {3, 3.3}},
			Burst:  []PodStart{{1, 1.3}, {2, 2.3}, {0.5, 0.8}}, BurstSeconds: 2,
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if first, second := slow.ran["bench-turn-1"], slow.ran["bench-turn-2"]; second.Sub(first) != 3300*time.Millisecond {
			t.Errorf("the second started %s after the first, which took 300ms to be seen", second.Sub(first))
		}
		if left, err := p.pods().List(t.Context(), metav1.ListOptions{}); err != nil || len(left.Items) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

func TestStartFails(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		edit func(*slowPods, *pairCluster)
		want string
	}{
		"no pod": {func(s *slowPods, _ *pairCluster) {
			s.client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, broken })
		}, "creating a pod: broken"},
		"no watch": {func(s *slowPods, _ *pairCluster) {
			s.client.PrependWatchReactor("pods", clienttesting.DefaultWatchReactor(nil, broken))
		}, "watching pods: broken"},
		"too slow": {func(s *slowPods, _ *pairCluster) { s.delays["b"] = 50 * time.Second; s.news = 11 * time.Second }, "1 of 2 pods run"},
		"no log": {func(_ *slowPods, p *pairCluster) {
			p.readLog = func(context.Context, kubernetes.Interface, string) ([]byte, error) { return nil, broken }
		}, "reading when pod a started (broken)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := newSlowPods(t, 0, map[string]time.Duration{})
				p := slow.cluster()
				test.edit(slow, p)
				if _, _, err := p.start(t.Context(), []string{"a", "b"}); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				time.Sleep(2 * time.Minute) // of the fake clock: the slow pods end too
			})
		})
	}
}

func TestSeenRunning(t *testing.T) {
	pod := func(name string, phase corev1.PodPhase) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
		p.Status.Phase, p.Status.Reason = phase, "Why"
		return p
	}
	for name, test := range map[string]struct {
		news func(*watch.RaceFreeFakeWatcher)
		want string // error
	}{
		"both": {func(w *watch.RaceFreeFakeWatcher) {
			w.Add(pod("other", corev1.PodFailed))
			w.Add(pod("a", corev1.PodPending))
			w.Modify(pod("a", corev1.PodRunning))
			w.Modify(pod("a", corev1.PodRunning))
			w.Add(pod("b", corev1.PodRunning))
		}, ""},
		"one failed": {func(w *watch.RaceFreeFakeWatcher) {
			w.Add(pod("a", corev1.PodRunning))
			w.Add(pod("b", corev1.PodFailed))
		}, "pod b is Failed: Why"},
		"one ended": {func(w *watch.RaceFreeFakeWatcher) { w.Add(pod("a", corev1.PodSucceeded)) }, "pod a is Succeeded"},
		"end": {func(w *watch.RaceFreeFakeWatcher) {
			w.Add(pod("b", corev1.PodRunning))
			w.Stop()
		}, "1 of 2 pods run, and the watch of pods ended"},
		"error": {func(w *watch.RaceFreeFakeWatcher) { w.Error(&metav1.Status{Message: "too old"}) }, "too old"},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch.NewRaceFreeFake()
			test.news(w)
			seen, err := seenRunning(t.Context(), w, []string{"a", "b"})
			switch {
			case test.want == "" && (err != nil || len(seen) != 2):
				t.Errorf("got %v, %v", seen, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestRemoveWaits sees that pods that the node still ends are waited for.
func TestRemoveWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		p := &pairCluster{cluster: &cluster{run: &run{opt: Options{Timeout: time.Minute}}}, client: client}
		if err := client.Tracker().Add(p.waitingPod("a")); err != nil {
			t.Fatal(err)
		}
		client.PrependReactor("delete", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			go func() {
				time.Sleep(2 * time.Second)
				if err := client.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), probeNamespace, "a"); err != nil {
					t.Error(err)
				}
			}()
			return true, nil, nil
		})
		began := time.Now()
		if err := p.remove(t.Context(), []string{"a"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 2*time.Second || took > 2*time.Second+pollEvery {
			t.Errorf("took %s", took)
		}
	})
}

// TestWaitingPod sees that nothing but the node is between the pod and its start.
func TestWaitingPod(t *testing.T) {
	p := &pairCluster{node: "n", pair: RuntimeTool{PodImage: "x/busybox:1"}}
	pod := p.waitingPod("a")
	c := pod.Spec.Containers[0]
	if pod.Spec.NodeName != "n" || c.Image != "x/busybox:1" || c.ImagePullPolicy != corev1.PullNever || *pod.Spec.AutomountServiceAccountToken {
		t.Errorf("got %+v", pod.Spec)
	}
	if *pod.Spec.TerminationGracePeriodSeconds == 0 {
		t.Error("the API forgets such a pod before the node has ended it")
	}
	if !strings.HasPrefix(c.Command[2], "echo "+startedWord+"; exec ") {
		t.Errorf("the script is %q", c.Command[2])
	}
}
