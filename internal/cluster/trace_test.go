package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/trace"
	"github.com/kluster-project/kluster/provider"
)

// traceOf creates a cluster that fails in the middle, and gives its trace and
// the commands that each node was asked.
func traceOf(t *testing.T, nodes int) (spans []trace.Span, asked map[string][]string) {
	t.Helper()
	p := engine(t)
	asked = map[string][]string{}
	var mu sync.Mutex
	// All nodes have come as far before one of them ends the create.
	var gate sync.WaitGroup
	gate.Add(nodes)
	p.Handle = func(_ context.Context, n provider.Node, cmd provider.Command) int {
		mu.Lock()
		asked[n.Name] = append(asked[n.Name], strings.Join(cmd.Args, " "))
		mu.Unlock()
		switch cmd.Args[0] {
		case "kluster-node":
			gate.Done()
			gate.Wait()
			return 1
		case "journalctl":
			for i, text := range []string{"[init] one", "[certs] two"} {
				fmt.Fprintf(cmd.Stdout, `{"_SYSTEMD_UNIT":"kluster-bootstrap.service","__REALTIME_TIMESTAMP":"%d","MESSAGE":%q}`+"\n", time.Now().UnixMicro()+int64(i), text)
			}
		case "sh":
			if strings.Contains(cmd.Args[2], nodespec.BootRecord) {
				now := time.Now().UTC().Format(time.RFC3339Nano)
				fmt.Fprintf(cmd.Stdout, `{"name":"machine-id","start":%q,"end":%q}`, now, now)
			}
		}
		return 0
	}
	r := trace.New()
	if _, err := manager(t, p).Create(trace.NewContext(t.Context(), r), wanted(t, "c", nodes)); err == nil {
		t.Fatal("a create without an API is fine?")
	}
	if left := leftovers(t, p, "c"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	return r.Spans(), asked
}

func has(spans []trace.Span, kind trace.Kind, track, lane, name string) bool {
	return slices.ContainsFunc(spans, func(s trace.Span) bool {
		return s.Kind == kind && s.Track == track && s.Lane == lane && s.Name == name
	})
}

// A create that fails is traced as far as it came: its steps, what was done to
// each node, and what each node says of itself before it goes.
func TestTraceOfACreateThatFails(t *testing.T) {
	spans, asked := traceOf(t, 3)
	for _, step := range Steps()[:slices.Index(Steps(), "control plane")+1] {
		if !has(spans, trace.Step, trace.Host, "plan", step) {
			t.Errorf("no step %q", step)
		}
	}
	for i := range 3 {
		node := fmt.Sprintf("c-control-plane-%d", i+1)
		for _, act := range []string{"create", "copy files to it", "start", "wait until it has booted", "run kluster-node await bootstrap"} {
			if !has(spans, trace.Act, trace.Host, node, act) {
				t.Errorf("%s: no act %q", node, act)
			}
		}
		for _, line := range []string{"[init] one", "[certs] two", "[certs]"} {
			if !has(spans, trace.Detail, node, "kubeadm", line) {
				t.Errorf("%s: no line %q", node, line)
			}
		}
		if !has(spans, trace.Detail, node, "kluster-node", "machine-id") {
			t.Errorf("%s: no boot steps", node)
		}
		for _, source := range nodeSources {
			if !slices.Contains(asked[node], strings.Join(source.args, " ")) {
				t.Errorf("%s was not asked for its %s", node, source.what)
			}
		}
	}
	if slices.ContainsFunc(spans, func(s trace.Span) bool { return s.Track == "c-lb" }) {
		t.Error("the load balancer was asked")
	}
}

func TestTraceOfAnInterruptedCreate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := engine(t)
	r := trace.New()
	opt := wanted(t, "c", 1)
	opt.OnStep = func(_ context.Context, name string) {
		if name == "control plane" {
			cancel()
		}
	}
	if _, err := manager(t, p).Create(trace.NewContext(ctx, r), opt); !errors.Is(err, context.Canceled) {
		t.Fatalf("err = %v", err)
	}
	if !has(r.Spans(), trace.Act, trace.Host, "c-control-plane-1", "run journalctl json") {
		t.Error("the node was not asked")
	}
}

// An API server is followed from no answer to ready.
func TestObservedAPIServer(t *testing.T) {
	answers := []struct {
		code int
		body string
	}{
		{http.StatusForbidden, "no"},
		{http.StatusInternalServerError, "[+]ping ok\n[-]poststarthook/rbac failed: reason withheld\n"},
		{http.StatusOK, "ok"},
	}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a := answers[min(asked, len(answers)-1)]
		asked++
		w.WriteHeader(a.code)
		fmt.Fprint(w, a.body)
	}))
	defer server.Close()
	r := trace.New()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	(&observer{r: r}).apiServer(t.Context(), "n", client)
	var got []string
	for _, s := range r.Spans() {
		got = append(got, s.Name)
	}
	want := []string{"answers: roles are not there yet", "answers 500: poststarthook/rbac", "ready"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestObservedObjects(t *testing.T) {
	r := trace.New()
	nodes, pods, accounts := &nodeLanes{r: r}, &podLanes{r: r}, &accountLanes{r: r}
	at := time.Now()
	see := func(f func(watch.Event, time.Time), o runtime.Object) {
		at = at.Add(time.Second)
		f(watch.Event{Type: watch.Modified, Object: o}, at)
	}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	see(nodes.see, n.DeepCopy())
	n.Spec.Taints = []corev1.Taint{{Key: "not-ready"}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "no CNI"}}
	see(nodes.see, n.DeepCopy())
	n.Status.Conditions[0].Status = corev1.ConditionTrue
	see(nodes.see, n.DeepCopy())
	see(nodes.see, n.DeepCopy())
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns"}, Status: corev1.PodStatus{Phase: corev1.PodPending}}
	see(pods.see, p.DeepCopy())
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
	see(pods.see, p.DeepCopy())
	mirror := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "m", Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"}}}
	see(pods.see, mirror)
	see(accounts.see, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}})

	var reached, states []string
	for _, s := range r.Spans() {
		if s.Kind == trace.Detail {
			reached = append(reached, s.Name)
		} else {
			states = append(states, s.Name)
		}
	}
	if diff := cmp.Diff([]string{"node is registered", "node is Ready", "p exists", "p: pending", "p: scheduled", "service account default exists"}, reached); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(states, "not Ready: no CNI (taints: not-ready)") || !slices.Contains(states, "m exists") {
		t.Errorf("states: %q", states)
	}
}

// Requests of a create that nobody traces go by untouched.
func TestTracedTransport(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	r := trace.New()
	client := &http.Client{Transport: tracedTransport(http.DefaultTransport)}
	for _, ctx := range []context.Context{t.Context(), trace.NewContext(t.Context(), r)} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	spans := r.Spans()
	if len(spans) != 1 || spans[0].Name != "GET /api" || spans[0].Args["error"] != "404 Not Found" {
		t.Errorf("%+v", spans)
	}
}

func TestExecName(t *testing.T) {
	for want, args := range map[string][]string{
		"run kubeadm init phase certs all": {"kubeadm", "init", "phase", "certs", "all", "--config", "/etc/x"},
		"run sh":                           {"sh", "-c", "a script of more than thirty letters"},
	} {
		if got := execName(args); got != want {
			t.Errorf("%q: got %q", args, got)
		}
	}
}
