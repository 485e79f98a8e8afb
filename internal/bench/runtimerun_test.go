package bench

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/internal/cri"
)

var testPairs = []Pair{{"containerd", "runc"}, {"cri-o", "crun"}}

// newFakeRuntimeRun is a run whose clusters are usable, run what they were asked for
// and start pods at once. client is the one that was connected last.
func newFakeRuntimeRun(t *testing.T, e *fakeEngine) (r *runtimeRun, calls *[]string, client func() *fake.Clientset) {
	t.Helper()
	tool := fakeTool(klusterName)
	base, calls := newFakeRun(e, tool)
	base.opt.Amounts = Amounts{Sequence: 2, Burst: 3, Idle: 4, ArchiveMB: 5}
	base.report.Settings.Runtimes = &RuntimeSettings{Pairs: testPairs, ArchiveBytes: 5_100_000}
	r = &runtimeRun{run: base, archive: "image.tar"}
	for _, p := range testPairs {
		pair, err := tool.withPair(p, "", "busybox:1")
		if err != nil {
			t.Fatal(err)
		}
		r.tools = append(r.tools, pair)
	}
	var last *fake.Clientset
	base.connect = func(conf []byte, _ string) (kubernetes.Interface, error) {
		last = usableClient(e, string(conf))
		setRuntime(t, last, string(conf))
		return last, nil
	}
	return r, calls, func() *fake.Clientset { return last }
}

// setRuntime makes the nodes of a pair's cluster say what they run.
func setRuntime(t *testing.T, client *fake.Clientset, cluster string) {
	t.Helper()
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range testPairs {
		r, err := cri.Get(p.Runtime)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes.Items {
			if p.cluster() != cluster {
				continue
			}
			n.Status.NodeInfo.ContainerRuntimeVersion = r.Reports + "://1.2.3"
			if _, err := client.CoreV1().Nodes().UpdateStatus(t.Context(), &n, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestRuntimeTurns sees that the floor is measured before every cluster, and that
// pairs take turns.
func TestRuntimeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		r, calls, _ := newFakeRuntimeRun(t, e)
		if err := r.rounds(t.Context()); err != nil {
			t.Fatal(err)
		}
		var want []string
		for range 2 {
			for i, p := range testPairs {
				debug := []string{"unix:///run/containerd/containerd.sock", "unix:///var/run/crio/crio.sock"}[i]
				name := p.cluster()
				want = append(want, "floor",
					"kluster create 1 "+name+" --runtime "+p.Runtime+" --oci-runtime "+p.OCI,
					"kluster load --cluster "+name+" --archive image.tar",
					"kluster exec --cluster "+name+" "+name+"-0 -- crictl --runtime-endpoint "+debug+" inspecti -q "+importRef,
					"kluster delete "+name)
			}
		}
		if diff := cmp.Diff(want, *calls); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if err := r.report.Failed(); err != nil || len(r.report.Runtimes) != 4 {
			t.Errorf("%d samples, %v: %v", len(r.report.Runtimes), err, r.report.failures())
		}
	})
}

// TestRuntimeSample sees that all is measured, and memory without and with the pods.
func TestRuntimeSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		r, _, client := newFakeRuntimeRun(t, e)
		r.opt.Idle = time.Hour
		e.use = func(c Container) (Use, error) {
			pods, err := client().CoreV1().Pods(probeNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: podLabel})
			if err != nil {
				return Use{}, err
			}
			return Use{CPU: 2 * time.Second, WorkingSet: 1000 + 10*int64(len(pods.Items))}, nil
		}
		began := time.Now()
		s := r.measure(t.Context(), r.tools[1], 7)
		want := RuntimeSample{
			Pair: testPairs[1],
			Sample: Sample{
				Round: 7, Tool: klusterName, Case: "1", Kubelet: "v1.36.3", ReturnedSeconds: 3, DeleteSeconds: 1, CPUSeconds: 3, ToolCPUSeconds: 1,
				Load: s.Load, APISeconds: s.APISeconds, ReadySeconds: s.ReadySeconds, UsableSeconds: s.UsableSeconds,
			},
			Reported: "cri-o://1.2.3",
			// The fake's clock moves only while something waits.
			Starts: make([]PodStart, 2), Burst: make([]PodStart, 3),
			EmptyBytes: 1000, FullBytes: 1040, IdlePods: 4, ImportSeconds: 3, ImportBytes: 5_100_000,
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if idled := time.Since(began); idled < 4*time.Hour {
			t.Errorf("it idled for %s", idled)
		}
	})
}

// failingPods makes the pods of a cluster come to something else than running.
func failingPods(r *runtimeRun, phase corev1.PodPhase) {
	good := r.connect
	r.connect = func(conf []byte, address string) (kubernetes.Interface, error) {
		client, err := good(conf, address)
		if err != nil {
			return nil, err
		}
		client.(*fake.Clientset).PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
			pod := a.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
			if pod.Name == probeName {
				return false, nil, nil
			}
			pod.Status.Phase = phase
			return true, pod, client.(*fake.Clientset).Tracker().Add(pod)
		})
		return client, nil
	}
}

// failingVerb makes a verb of the tool fail.
func failingVerb(r *runtimeRun, verb string) {
	good := r.exec
	r.exec = func(ctx context.Context, c Command) (Outcome, error) {
		if c.Args[0] == verb {
			return Outcome{}, errors.New("broken")
		}
		return good(ctx, c)
	}
}

// TestRuntimeFailures sees that what fails is told, and that the cluster goes
// whatever has failed.
func TestRuntimeFailures(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*runtimeRun, *fakeEngine)
		want string
	}{
		"create": {func(r *runtimeRun, _ *fakeEngine) { failingVerb(r, "create") }, "broken"},
		"another runtime": {func(r *runtimeRun, _ *fakeEngine) {
			r.tools[0].Pair.Runtime = "cri-dockerd"
			good := r.connect
			r.connect = func(conf []byte, address string) (kubernetes.Interface, error) {
				client, err := good(conf, address)
				if err == nil {
					setRuntime(t, client.(*fake.Clientset), testPairs[0].cluster())
				}
				return client, err
			}
		}, `looking at the node: the node runs "containerd://1.2.3", which is not cri-dockerd`},
		"a pod fails": {func(r *runtimeRun, _ *fakeEngine) { failingPods(r, corev1.PodFailed) }, "starting pods one after the other: pod bench-turn-1 is Failed"},
		"a pod waits": {func(r *runtimeRun, _ *fakeEngine) { failingPods(r, corev1.PodPending) }, "one after the other: 0 of 1 pods run: context deadline exceeded"},
		"counters": {func(_ *runtimeRun, e *fakeEngine) {
			asked := 0
			e.use = func(Container) (Use, error) {
				if asked++; asked > 1 { // the first is for the create
					return Use{}, errors.New("broken")
				}
				return Use{}, nil
			}
		}, "weighing idle pods: reading what the node uses: broken"},
		"import":          {func(r *runtimeRun, _ *fakeEngine) { failingVerb(r, "load") }, "importing an image: broken"},
		"nothing imports": {func(r *runtimeRun, _ *fakeEngine) { failingVerb(r, "exec") }, "the image is not there after the import: broken"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newFakeEngine()
				r, _, _ := newFakeRuntimeRun(t, e)
				test.edit(r, e)
				s := r.measure(t.Context(), r.tools[0], 1)
				if !strings.Contains(s.Error, test.want) {
					t.Errorf("error is %q, want %q", s.Error, test.want)
				}
				if len(e.clusters) > 0 || len(e.purged) != 1 || s.DeleteSeconds != 0 {
					t.Errorf("left: %v, purged: %v, deleted in %g s", e.clusters, e.purged, s.DeleteSeconds)
				}
				r.report.Runtimes = append(r.report.Runtimes, s)
				if err := r.report.Failed(); err == nil || !strings.HasPrefix(err.Error(), "1 of 1 ") {
					t.Errorf("the report says %v", err)
				}
				if told := r.report.failures(); len(told) != 1 || !strings.Contains(told[0], r.tools[0].Pair.String()) {
					t.Errorf("the table says %q", told)
				}
			})
		})
	}
}

// TestRuntimeInterrupted sees that an interrupted run deletes its cluster and
// measures no more, wherever it was.
func TestRuntimeInterrupted(t *testing.T) {
	for _, verb := range []string{"create", "load"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				interrupted := errors.New("interrupted")
				e := newFakeEngine()
				r, calls, _ := newFakeRuntimeRun(t, e)
				good := r.exec
				r.exec = func(ctx context.Context, c Command) (Outcome, error) {
					out, err := good(ctx, c)
					if c.Args[0] == verb {
						cancel(interrupted)
						return out, interrupted
					}
					return out, errors.Join(err, ctx.Err())
				}
				if err := r.rounds(ctx); !errors.Is(err, interrupted) {
					t.Errorf("got %v", err)
				}
				last := (*calls)[len(*calls)-1]
				creates := slices.ContainsFunc(*calls, func(c string) bool { return strings.Contains(c, "create 1 "+testPairs[1].cluster()) })
				if last != "kluster delete "+testPairs[0].cluster() || creates || len(e.clusters) > 0 {
					t.Errorf("calls %q, left %v", *calls, e.clusters)
				}
			})
		})
	}
}
