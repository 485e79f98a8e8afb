package preflight

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// world is a cluster with nothing to complain about, until a test changes it.
type world struct {
	version    string
	admin      bool
	nodes      []corev1.Node
	pods       []corev1.Pod
	namespaces []corev1.Namespace
	// refuse answers requests for a path with a status.
	refuse map[string]int
	// say is what a node's commands print, by their name.
	say map[string]string
	// mute is the node whose commands fail.
	mute string

	target Target
}

func good(t *testing.T) *world {
	t.Helper()
	return &world{
		version: "v1.36.3", admin: true,
		nodes: []corev1.Node{
			node("cp", corev1.Taint{Key: controlPlaneTaint, Effect: corev1.TaintEffectNoSchedule}),
			node("w1"), node("w2"),
		},
		pods: []corev1.Pod{pod("coredns", corev1.PodRunning, corev1.ConditionTrue), pod("done", corev1.PodSucceeded, corev1.ConditionFalse)},
		say: map[string]string{
			"crictl": `{"images": [{"repoTags": ["registry.k8s.io/pause:3.10.2"], "repoDigests": []}, {"repoTags": ["docker.io/library/busybox:latest"]}]}`,
			"sysctl": "8192\n524288\n",
			"df":     "      Avail\n10000000000\n10000000000\n",
		},
		target: Target{
			Name: "c", Version: "v1.36.3", Suite: plan.Suite{Name: "conformance", Program: plan.Own, Nodes: 2},
			Images: []string{"registry.k8s.io/pause:3.10.2", "busybox"}, Folders: []string{"/var/lib/containerd", "/var/lib/kubelet"},
			ReportDir: filepath.Join(t.TempDir(), "a", "b"),
		},
	}
}

func node(name string, taints ...corev1.Taint) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	n.Spec.Taints = taints
	if len(taints) > 0 {
		n.Labels[controlPlaneTaint] = ""
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	n.Status.NodeInfo = corev1.NodeSystemInfo{KubeletVersion: "v1.36.3", ContainerRuntimeVersion: "containerd://2", KernelVersion: "6.1", OSImage: "Debian"}
	return n
}

func pod(name string, phase corev1.PodPhase, ready corev1.ConditionStatus) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Status.Phase = phase
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	return p
}

// ServeHTTP is the cluster's API.
func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if code := w.refuse[r.URL.Path]; code != 0 {
		http.Error(out, "no", code)
		return
	}
	answer := map[string]any{
		"/version":                            map[string]string{"gitVersion": w.version},
		"/api/v1/nodes":                       corev1.NodeList{Items: w.nodes},
		"/api/v1/namespaces/kube-system/pods": corev1.PodList{Items: w.pods},
		"/api/v1/namespaces":                  corev1.NamespaceList{Items: w.namespaces},
		"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": authorizationv1.SelfSubjectAccessReview{
			Status: authorizationv1.SubjectAccessReviewStatus{Allowed: w.admin},
		},
	}[r.URL.Path]
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(answer)
}

// TestYoungPodsAreWaitedFor: those of a cluster that was just made are not ready yet.
func TestYoungPodsAreWaitedFor(t *testing.T) {
	asked := 0
	client := fake.NewClientset()
	client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		asked++
		ready := corev1.ConditionFalse
		if asked > 1 {
			ready = corev1.ConditionTrue
		}
		young := pod("etcd", corev1.PodRunning, ready)
		young.CreationTimestamp = metav1.Now()
		return true, &corev1.PodList{Items: []corev1.Pod{young}}, nil
	})
	e := &examination{client: client}
	if problems := e.systemPods(t.Context()); len(problems) > 0 || asked != 2 {
		t.Errorf("asked %d times: %v", asked, problems)
	}
}

// TestNothingIsWaitedForInVain: an unfit cluster is refused at once, however young.
func TestNothingIsWaitedForInVain(t *testing.T) {
	w := good(t)
	w.target.Exec = w.exec
	w.nodes = w.nodes[1:2]
	young := pod("etcd", corev1.PodRunning, corev1.ConditionFalse)
	young.CreationTimestamp = metav1.Now()
	w.pods = []corev1.Pod{young}
	began := time.Now()
	_, got := w.check(t)
	if took := time.Since(began); took > patience || len(got) != 2 {
		t.Errorf("after %s: %q", took, got)
	}
}

func (w *world) exec(_ context.Context, node string, argv []string, stdout io.Writer) error {
	if node == w.mute {
		return errors.New("exit status 1")
	}
	_, err := io.WriteString(stdout, w.say[argv[0]])
	return err
}

func (w *world) check(t *testing.T) (report.Cluster, []string) {
	t.Helper()
	server := httptest.NewServer(w)
	defer server.Close()
	w.target.Config = &rest.Config{Host: server.URL}
	cluster, problems, err := Check(t.Context(), w.target)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, p := range problems {
		if p.Next == "" {
			t.Errorf("%s has no next step", p)
		}
		told = append(told, strings.ReplaceAll(fmt.Sprintf("%s %s", p.Level, p), server.URL, "URL"))
	}
	return cluster, told
}

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		change func(w *world)
		want   []string
	}{
		"all is well": {change: func(*world) {}},
		"without nodes' help": {change: func(w *world) {
			w.target.Exec = nil
			for i := range w.nodes {
				w.nodes[i].Status.Images = []corev1.ContainerImage{{Names: []string{"busybox", "registry.k8s.io/pause:3.10.2"}}}
			}
		}},
		"another minor": {
			func(w *world) { w.target.Version = "v1.35.4" },
			[]string{"error the suite is of Kubernetes v1.35.4, the API server of v1.36.3: specs of another minor version ask for what the server has not, or not any more"},
		},
		"another patch": {
			func(w *world) { w.target.Version = "v1.36.0" },
			[]string{"warning the suite is of Kubernetes v1.36.0, the API server of v1.36.3: a few specs change between patch releases"},
		},
		"a distribution's version": {change: func(w *world) {
			w.version = "v1.36.3+k3s1"
			for i := range w.nodes {
				w.nodes[i].Status.NodeInfo.KubeletVersion = w.version
			}
		}},
		"no version asked for": {change: func(w *world) { w.target.Version = "" }},
		"an odd version": {
			func(w *world) { w.target.Version = "newest" },
			[]string{`warning the suite's version could not be looked at: could not parse "newest" as version`},
		},
		"not a cluster administrator": {
			func(w *world) { w.admin = false },
			[]string{"error this user may not do everything: specs act as a cluster administrator"},
		},
		"a node is not Ready": {
			func(w *world) {
				w.nodes[2].Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status."}
				w.nodes[2].Spec.Taints = []corev1.Taint{{Key: "node.kubernetes.io/unreachable", Effect: corev1.TaintEffectNoExecute}}
			},
			[]string{
				"error 1 of 3 nodes are not Ready: w2: NodeStatusUnknown Kubelet stopped posting node status.",
				"error suite conformance needs 2 nodes that any pod may run on, and the cluster has 1: cp has the taint node-role.kubernetes.io/control-plane:NoSchedule, w2 is not Ready",
			},
		},
		"a node without status": {
			func(w *world) { w.nodes[2].Status.Conditions = nil },
			[]string{
				"error 1 of 3 nodes are not Ready: w2: no status yet",
				"error suite conformance needs 2 nodes that any pod may run on, and the cluster has 1: cp has the taint node-role.kubernetes.io/control-plane:NoSchedule, w2 is not Ready",
			},
		},
		"one node": {
			func(w *world) { w.nodes = w.nodes[1:2] },
			[]string{"error suite conformance needs 2 nodes that any pod may run on, and the cluster has 1"},
		},
		"a cordoned node that is not Ready": {change: func(w *world) {
			fake := node("e2e-fake-node")
			fake.Spec.Unschedulable, fake.Status.Conditions, fake.Status.NodeInfo = true, nil, corev1.NodeSystemInfo{}
			w.nodes = append(w.nodes, fake)
		}},
		"a cordoned node": {
			func(w *world) { w.nodes[1].Spec.Unschedulable = true },
			[]string{"error suite conformance needs 2 nodes that any pod may run on, and the cluster has 1: cp has the taint node-role.kubernetes.io/control-plane:NoSchedule, w1 is cordoned"},
		},
		"an unknown taint": {
			func(w *world) {
				w.target.Suite.Nodes = 1
				w.nodes[2].Spec.Taints = []corev1.Taint{{Key: "a", Value: "b", Effect: corev1.TaintEffectNoExecute}, {Key: "c", Effect: corev1.TaintEffectPreferNoSchedule}}
			},
			[]string{"error node w2 has the taint a=b:NoExecute: Kubernetes' suite does not start while a node has one that it does not know"},
		},
		"the same for other specs": {change: func(w *world) {
			w.target.Suite = plan.Suite{Program: plan.Package, Nodes: 1}
			w.nodes[2].Spec.Taints = []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoExecute}}
			w.nodes[2].Status.NodeInfo.KubeletVersion = "v1.35.0"
			w.admin = false
		}},
		"an older kubelet": {
			func(w *world) { w.nodes[2].Status.NodeInfo.KubeletVersion = "v1.35.0" },
			[]string{"warning kubelets are not of the API server's version v1.36.3: w2 (v1.35.0): specs that need a newer kubelet are skipped"},
		},
		"system pods": {
			func(w *world) {
				crashing := pod("crashing", corev1.PodRunning, corev1.ConditionFalse)
				crashing.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
				pending := pod("pending", corev1.PodPending, corev1.ConditionFalse)
				pending.Status.Conditions[0].Message = "no node"
				failed := pod("failed", corev1.PodFailed, corev1.ConditionFalse)
				failed.Status.Reason = "Evicted"
				replaced := pod("replaced", corev1.PodFailed, corev1.ConditionFalse)
				yes := true
				replaced.OwnerReferences = []metav1.OwnerReference{{Controller: &yes}}
				w.pods = append(w.pods, crashing, pending, failed, replaced, pod("slow", corev1.PodRunning, corev1.ConditionFalse))
			},
			[]string{"error 4 of 7 pods of kube-system are not ready: crashing (CrashLoopBackOff), pending (no node), failed (failed: Evicted), slow (running)"},
		},
		"an image lacks": {
			func(w *world) {
				w.target.Images = append(w.target.Images, "agnhost:2", "agnhost:2", "registry.k8s.io/pause:3.9")
			},
			[]string{"error cp, w1, w2: 2 of 5 images of the suite are not there: agnhost:2, registry.k8s.io/pause:3.9"},
		},
		"an image is not listed": {
			func(w *world) {
				w.target.Exec, w.target.Images = nil, w.target.Images[:1]
				w.nodes = w.nodes[1:]
				w.nodes[1].Status.Images = slices.Repeat([]corev1.ContainerImage{{Names: []string{"x"}}}, mostListed)
			},
			[]string{
				"warning w1: 1 of 1 images of the suite are not listed: they will be pulled, which fails without a way to their registry: registry.k8s.io/pause:3.10.2",
				"warning w2: 1 of 1 images of the suite are not listed: the API lists only 50 images of a node; those that are not there will be pulled: registry.k8s.io/pause:3.10.2",
			},
		},
		"low limits": {
			func(w *world) { w.say["sysctl"] = "128\n8192\n" },
			[]string{
				"warning cp, w1, w2: fs.inotify.max_user_instances is 128: kubelets and pods of many specs at once run out of it",
				"warning cp, w1, w2: fs.inotify.max_user_watches is 8192: kubelets and pods of many specs at once run out of it",
			},
		},
		"little disk": {
			func(w *world) { w.say["df"] = "Avail\n2147483648\n536870912\n" },
			[]string{
				"error cp, w1, w2: 0.5 GiB are free below /var/lib/kubelet: specs write images, logs and volumes there: 5 GiB do for a whole run",
				"warning cp, w1, w2: 2.0 GiB are free below /var/lib/containerd: specs write images, logs and volumes there: 5 GiB do for a whole run",
			},
		},
		"nothing to look for in nodes": {change: func(w *world) { w.target.Images, w.target.Folders = nil, nil }},
		"a node that says nothing": {
			func(w *world) { w.mute = "w1" },
			[]string{
				"warning w1: images could not be looked at: running crictl: exit status 1",
				"warning w1: inotify limits could not be looked at: running sysctl: exit status 1",
				"warning w1: disk could not be looked at: running df: exit status 1",
			},
		},
		"a node that talks nonsense": {
			func(w *world) { w.say = map[string]string{"crictl": "no", "sysctl": "a b", "df": "Avail 1 x"} },
			[]string{
				"warning cp, w1, w2: images could not be looked at: reading the runtime's list of images: invalid character 'o' in literal null (expecting 'u')",
				`warning cp, w1, w2: inotify limits could not be looked at: reading fs.inotify.max_user_instances: strconv.ParseInt: parsing "a": invalid syntax`,
				`warning cp, w1, w2: disk could not be looked at: reading what is free below /var/lib/kubelet: strconv.ParseInt: parsing "x": invalid syntax`,
			},
		},
		"leftovers": {
			func(w *world) {
				for i := range 5 {
					w.namespaces = append(w.namespaces, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pods-%d", i)}})
				}
			},
			[]string{"warning namespaces of an earlier run are left: pods-0, pods-1, pods-2 and 2 more: what runs in them takes room, and fails specs that count pods or nodes' resources"},
		},
		"what the API refuses": {
			func(w *world) {
				w.refuse = map[string]int{"/api/v1/namespaces/kube-system/pods": 403, "/api/v1/namespaces": 403, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": 403}
			},
			[]string{
				"warning what this user may do could not be looked at: no (post selfsubjectaccessreviews.authorization.k8s.io)",
				"warning the namespaces could not be looked at: no (get namespaces)",
				"warning the pods of kube-system could not be looked at: no (get pods)",
			},
		},
		"a user that may nothing": {
			func(w *world) { w.refuse = map[string]int{"/version": 401} },
			[]string{"error the API server refuses this user: the server has asked for the client to provide credentials"},
		},
		"something else than an API": {
			func(w *world) { w.version = "" },
			[]string{`error the API server does not answer: URL/version is not that of an API server: "{\"gitVersion\":\"\"}\n"`},
		},
		"a report dir that is a file": {
			func(w *world) {
				file := filepath.Join(w.target.ReportDir, "..", "..", "file")
				if err := os.WriteFile(file, nil, 0o644); err != nil {
					t.Fatal(err)
				}
				w.target.ReportDir = file
			},
			[]string{"error the report cannot be written to FILE: mkdir FILE: not a directory"},
		},
		"no report": {change: func(w *world) { w.target.ReportDir = "" }},
	} {
		t.Run(name, func(t *testing.T) {
			w := good(t)
			w.target.Exec = w.exec
			test.change(w)
			_, got := w.check(t)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], w.target.ReportDir, "FILE")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCluster(t *testing.T) {
	got, _ := good(t).check(t)
	n := report.Node{Name: "w1", Role: "worker", Runtime: "containerd://2", Kubelet: "v1.36.3", Kernel: "6.1", OS: "Debian"}
	cp, w2 := n, n
	cp.Name, cp.Role, w2.Name = "cp", "control-plane", "w2"
	if diff := cmp.Diff(report.Cluster{Name: "c", Kubernetes: "v1.36.3", Nodes: []report.Node{cp, n, w2}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoAPIServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	w := good(t)
	w.target.Config = &rest.Config{Host: server.URL}
	_, problems, err := Check(t.Context(), w.target)
	if err != nil || len(problems) != 1 || problems[0].What != "the API server does not answer" || !strings.Contains(problems[0].Cause, "connection refused") {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel(errors.New("enough"))
		<-r.Context().Done()
	}))
	defer server.Close()
	w := good(t)
	w.target.Config = &rest.Config{Host: server.URL}
	if _, _, err := Check(ctx, w.target); err == nil || err.Error() != "enough" {
		t.Errorf("err = %v", err)
	}
}

// A node that never answers costs no more than its patience.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &examination{nodes: []corev1.Node{node("w")}}
		e.Images = []string{"x"}
		e.Folders = []string{"/"}
		e.Exec = func(ctx context.Context, _ string, _ []string, _ io.Writer) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		began := time.Now()
		problems := e.inNodes(t.Context())
		if took := time.Since(began); took != patience || len(problems) != 3 || !strings.Contains(problems[0].Cause, "no answer within 10s") {
			t.Errorf("%v after %s", problems, took)
		}
	})
}

func TestErr(t *testing.T) {
	warning := Problem{Level: Warning, What: "w", Next: "x"}
	if err := Err([]Problem{warning}); err != nil {
		t.Errorf("a warning is an error: %v", err)
	}
	err := Err([]Problem{{Error, "a", "b", "c"}, warning, {Error, "d", "", "e"}})
	if err == nil || err.Error() != "a: b; d" || !slices.Equal(failure.Hints(err), []string{"c", "e"}) {
		t.Errorf("%v, %q", err, failure.Hints(err))
	}
}

func FuzzImages(f *testing.F) {
	f.Add([]byte(`{"images": [{"repoTags": ["a:b"], "repoDigests": ["a@sha256:c"]}]}`))
	f.Add([]byte(`{"images": null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		held, err := parseImages(bytes.Clone(data))
		if err == nil && len(lacking(held, held)) > 0 {
			t.Errorf("what is held is lacking: %q", lacking(held, held))
		}
	})
}
