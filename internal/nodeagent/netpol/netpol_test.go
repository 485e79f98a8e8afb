package netpol

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	source "k8s.io/client-go/tools/cache/testing"
)

// patience bounds what must happen at once.
const patience = 10 * time.Second

// counted counts how often something is listed.
type counted struct {
	*source.FakeControllerSource
	lists *atomic.Int32
}

func (c counted) List(o metav1.ListOptions) (runtime.Object, error) {
	c.lists.Add(1)
	return c.FakeControllerSource.List(o)
}

// running is a service that a test plays the API of.
type running struct {
	t                          *testing.T
	policies, pods, namespaces *source.FakeControllerSource
	applied                    chan string
	fail                       atomic.Bool // the next to be applied
	podLists                   atomic.Int32
	gate                       *Gate
	find                       func() (*corev1.Pod, error)
}

func start(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	gate, err := NewGate(filepath.Join(dir, "run", "s"), filepath.Join(dir, "lib", "mark"), slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	r := &running{
		t: t, policies: source.NewFakeControllerSource(), pods: source.NewFakeControllerSource(), namespaces: source.NewFakeControllerSource(),
		applied: make(chan string), gate: gate,
	}
	s := &Service{
		Node: "here", Policies: r.policies, Pods: counted{r.pods, &r.podLists}, Namespaces: r.namespaces,
		Apply: func(ctx context.Context, text string) error {
			// Before the test knows, or what it says of the next would be taken.
			var err error
			if r.fail.CompareAndSwap(true, false) {
				err = errors.New("nft is out of sorts")
			}
			select {
			case r.applied <- text:
			case <-ctx.Done():
			}
			return err
		},
		Find: func(context.Context, string, string) (*corev1.Pod, error) { return r.find() },
		Gate: gate, Log: slog.Default(),
	}
	for _, ns := range town().Namespaces {
		r.namespaces.Add(ns)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	return r
}

// next is what nft is given next.
func (r *running) next() string {
	r.t.Helper()
	select {
	case text := <-r.applied:
		return text
	case <-time.After(patience):
		r.t.Fatal("nothing is applied")
		return ""
	}
}

func (r *running) want(words ...string) {
	r.t.Helper()
	text := r.next()
	for _, w := range words {
		if !strings.Contains(text, w) {
			r.t.Errorf("no %q in:\n%s", w, text)
		}
	}
}

// until waits for something that no rules tell of.
func (r *running) until(what string, is func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !is(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("it never comes that %s", what)
		}
	}
}

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

const fresh = "delete table inet kluster-policy\n"

func TestRun(t *testing.T) {
	r := start(t)
	r.want(fresh)
	if n := r.podLists.Load(); n != 0 {
		t.Errorf("pods were listed %d times without any policy", n)
	}
	db := town().Pods[1]
	r.pods.Add(db)
	deny := policies(t, "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}")[0]
	r.policies.Add(deny)
	r.want(fresh, "10.244.0.3 : jump ingress-")
	if n := r.podLists.Load(); n != 1 {
		t.Errorf("pods were listed %d times", n)
	}
	// Only what changed is changed.
	r.pods.Add(town().Pods[0])
	r.want("add element inet kluster-policy ingress4 { 10.244.0.2 : jump ingress-")
	// What a policy has no interest in is none.
	noise := db.DeepCopy()
	noise.Status.Message = "healthy"
	r.pods.Modify(noise)
	r.pods.Delete(town().Pods[0])
	r.want("delete element inet kluster-policy ingress4 { 10.244.0.2 }")
	// What failed is tried again, as a whole.
	r.fail.Store(true)
	r.pods.Add(town().Pods[0])
	r.want("add element")
	r.want(fresh, "10.244.0.2 : jump")
	r.policies.Delete(deny)
	if text := r.next(); text != (Rules{}).Replace() {
		t.Errorf("without policies: %s", text)
	}
}

// A pod that starts waits for its rules, and its addresses are known before the API
// tells them.
func TestGate(t *testing.T) {
	r := start(t)
	r.want(fresh)
	if err := Ask(t.Context(), r.gate.Socket, Start{Namespace: "x", Pod: "db"}); err != nil {
		t.Errorf("asked without policies: %v", err)
	}
	deny := policies(t, "podSelector: {}")[0]
	r.policies.Add(deny)
	db := town().Pods[1]
	db.UID, db.Status.PodIPs = "1", nil
	r.pods.Add(db)
	r.until("the gate is shut", func() bool { return there(r.gate.Socket) })
	answer := make(chan error)
	go func() {
		answer <- Ask(t.Context(), r.gate.Socket, Start{Namespace: "x", Pod: "db", UID: "1", Addrs: []netip.Addr{netip.MustParseAddr("10.244.0.3")}})
	}()
	select {
	case text := <-r.applied:
		if !strings.Contains(text, "10.244.0.3 : jump ingress-") {
			t.Errorf("applied %s", text)
		}
	case err := <-answer:
		t.Fatalf("the pod starts before its rules: %v", err)
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
	// The API tells the same: nothing changes. A next sandbox has another address.
	db = db.DeepCopy()
	db.Status.PodIPs = []corev1.PodIP{{IP: "10.244.0.3"}}
	r.pods.Modify(db)
	go func() {
		answer <- Ask(t.Context(), r.gate.Socket, Start{Namespace: "x", Pod: "db", UID: "1", Addrs: []netip.Addr{netip.MustParseAddr("10.244.0.4")}})
	}()
	r.want("add element inet kluster-policy ingress4 { 10.244.0.4 : jump ingress-")
	if err := <-answer; err != nil {
		t.Error(err)
	}
	r.policies.Delete(deny)
	r.next()
	r.until("the gate is gone", func() bool { return !there(r.gate.Socket) && !there(r.gate.Mark) })
}

// A node that had policies holds pods up from its start on, and a pod that asks
// while the service is away waits for it.
func TestGateAtStart(t *testing.T) {
	dir := t.TempDir()
	socket, mark := filepath.Join(dir, "s"), filepath.Join(dir, "mark")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := NewGate(socket, mark, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	g.close() // as if it crashed
	if _, err := os.Stat(socket); err != nil {
		t.Fatalf("pods would not wait: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 10*askPoll)
	defer cancel()
	if err := Ask(short, socket, Start{Namespace: "x", Pod: "db"}); err == nil || !strings.Contains(err.Error(), "x/db") {
		t.Errorf("nobody is there, and asking gives %v", err)
	}
	answer := make(chan error)
	go func() { answer <- Ask(t.Context(), socket, Start{Namespace: "x", Pod: "db"}) }()
	if g, err = NewGate(socket, mark, slog.Default()); err != nil {
		t.Fatal(err)
	}
	a := <-g.arrivals
	if a.Pod != "db" {
		t.Errorf("%+v", a)
	}
	a.answer()
	if err := <-answer; err != nil {
		t.Error(err)
	}
	if err := g.Lift(); err != nil {
		t.Error(err)
	}
}

// A pod that the watch does not tell of is asked for. It waits as long as the API does not
// answer, and starts when there is no such pod.
func TestStranger(t *testing.T) {
	static := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "db", UID: "mirror", Annotations: map[string]string{hashKey: "1"}}}
	for name, tc := range map[string]struct {
		pod      *corev1.Pod
		err      error
		answered bool
	}{
		"the API is away":               {err: errors.New("away")},
		"the API knows it":              {pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "db", UID: "1"}}},
		"it is a static one":            {pod: static},
		"there is no such pod":          {answered: true},
		"there is one of the same name": {pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "db", UID: "2"}}, answered: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := early{}
			a := &arrival{Start: Start{Namespace: "x", Pod: "db", UID: "1", Addrs: []netip.Addr{netip.MustParseAddr("10.244.0.3")}}, since: time.Now(), held: make(chan struct{})}
			e.add(a)
			e.join(nil)
			if e.settle(false); a.answered || len(e.strangers()) > 0 {
				t.Error("asked for or answered at once")
			}
			a.since = time.Now().Add(-strangerTime)
			if e.settle(false); a.answered || len(e.strangers()) != 1 {
				t.Error("answered, or not asked for")
			}
			e.hear(told{a, tc.pod, tc.err})
			if a.answered != tc.answered {
				t.Errorf("answered: %v", a.answered)
			}
			pods := e.join(nil)
			if known := tc.pod != nil && !tc.answered; len(pods) != 0 != known || a.seen != known {
				t.Errorf("pods: %v", pods)
			} else if known && pods[0].Status.PodIPs[0].IP != "10.244.0.3" {
				t.Errorf("its address is not known: %v", pods[0].Status)
			}
			before := a.answered || a.seen
			a.since = time.Now().Add(-2 * forgetTime)
			if e.join(nil); len(e) != 0 || a.answered != before {
				t.Errorf("not forgotten, or let through: %v", a.answered)
			}
		})
	}
}

// A pod of which the watch does not tell, since the API was away, starts with its rules.
func TestStrangerWithPolicies(t *testing.T) {
	r := start(t)
	r.want(fresh)
	r.policies.Add(policies(t, "podSelector: {}")[0])
	r.until("the gate is shut", func() bool { return there(r.gate.Socket) })
	db := town().Pods[1]
	db.UID, db.Status.PodIPs = "1", nil
	answers := make(chan error, 2)
	answers <- errors.New("the API is away")
	answers <- nil
	r.find = func() (*corev1.Pod, error) {
		if err := <-answers; err != nil {
			return nil, err
		}
		return db, nil
	}
	answer := make(chan error)
	go func() {
		answer <- Ask(t.Context(), r.gate.Socket, Start{Namespace: "x", Pod: "db", UID: "1", Addrs: []netip.Addr{netip.MustParseAddr("10.244.0.3")}})
	}()
	select {
	case text := <-r.applied:
		if !strings.Contains(text, "10.244.0.3 : jump ingress-") {
			t.Errorf("applied %s", text)
		}
	case err := <-answer:
		t.Fatalf("the pod starts before its rules: %v", err)
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

func TestStrip(t *testing.T) {
	p := town().Pods[0]
	p.Annotations, p.Spec.Containers[0].Image = map[string]string{"a": "b"}, "image"
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Ports: []corev1.ContainerPort{{ContainerPort: 1}}})
	out, err := strip(p)
	if err != nil {
		t.Fatal(err)
	}
	got := out.(*corev1.Pod)
	if got.Annotations != nil || len(got.Spec.Containers) != 1 || got.Spec.Containers[0].Image != "" {
		t.Errorf("too much is kept: %+v", got)
	}
	w := World{Node: "here", Namespaces: town().Namespaces, Pods: []*corev1.Pod{got}, Policies: policies(t, "{podSelector: {}, ingress: [{ports: [{port: web}]}]}")}
	if !Compile(w).passes(flow(t, "world > x/web tcp 80")) {
		t.Error("a named port is lost")
	}
}

// A service that starts again never leaves a moment in which pods are let through.
func TestGateIsNeverOpen(t *testing.T) {
	dir := t.TempDir()
	socket, mark := filepath.Join(dir, "s"), filepath.Join(dir, "mark")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := NewGate(socket, mark, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	first.close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			g, err := NewGate(socket, mark, slog.Default())
			if err != nil {
				t.Error(err)
				return
			}
			g.close()
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
			if _, err := os.Stat(socket); err != nil {
				t.Fatalf("the gate is open: %v", err)
			}
		}
	}
}
