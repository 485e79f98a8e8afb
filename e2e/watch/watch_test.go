package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/e2e/report"
)

// transport is an API server without a network, so that its clock can be a test's.
type transport func(*http.Request) (int, string, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	code, body, err := f(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {"text/plain"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func client(t *testing.T, answer transport) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(&rest.Config{Host: "http://api", Transport: answer, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// told makes a teller that keeps the texts, with times as seconds since its making.
func told() (*teller, *[]string) {
	texts, began := &[]string{}, time.Now()
	return &teller{tell: func(i report.Incident) {
		*texts = append(*texts, fmt.Sprintf("%.0fs %s", i.Time.Sub(began).Seconds(), i.Text))
	}}, texts
}

func node(name string, ready corev1.ConditionStatus) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.NodeInfo.KubeletVersion = "v1.36.3"
	n.Status.Conditions = []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse},
		{Type: corev1.NodeReady, Status: ready, Reason: "R", Message: "says why"},
	}
	return n
}

func TestFollowNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := metav1.NewMicroTime(time.Date(2000, 1, 1, 0, 0, 3, 0, time.UTC))
		c := fake.NewClientset(node("a", corev1.ConditionTrue), node("b", corev1.ConditionTrue), node("c", corev1.ConditionTrue), node("d", corev1.ConditionTrue),
			&coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: corev1.NamespaceNodeLease},
				Spec:       coordinationv1.LeaseSpec{RenewTime: &heard},
			})
		nodes := c.CoreV1().Nodes()
		var texts *[]string
		var teller *teller
		teller, texts = told()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { followNodes(ctx, c, &api{Options: Options{}.filled(), teller: teller}) })
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		set := func(n *corev1.Node) {
			t.Helper()
			_, err := nodes.Update(t.Context(), n, metav1.UpdateOptions{})
			do(err)
		}
		at := func(second int) { time.Sleep(time.Until(time.Date(2000, 1, 1, 0, 0, second, 0, time.UTC))) }
		at(10)
		set(node("a", corev1.ConditionUnknown))
		at(12)
		set(node("a", corev1.ConditionFalse))   // the same gap
		set(node("c", corev1.ConditionUnknown)) // has no lease
		spec := node("spec", corev1.ConditionTrue)
		spec.Status.NodeInfo.KubeletVersion = ""
		_, err := nodes.Create(t.Context(), spec, metav1.CreateOptions{})
		do(err)
		at(15)
		set(node("a", corev1.ConditionTrue))
		do(nodes.Delete(t.Context(), "spec", metav1.DeleteOptions{}))
		do(nodes.Delete(t.Context(), "b", metav1.DeleteOptions{}))
		at(20)
		_, err = nodes.Create(t.Context(), node("b", corev1.ConditionTrue), metav1.CreateOptions{})
		do(err)
		do(nodes.Delete(t.Context(), "d", metav1.DeleteOptions{}))
		at(30)
		cancel()
		group.Wait()
		want := []string{
			"10s node a was not Ready for 5s, from 00:00:10 to 00:00:15: R says why It was last heard of at 00:00:03.",
			"15s node b was not in the API for 5s, from 00:00:15 to 00:00:20",
			"12s node c was not Ready for 18s, from 00:00:12 to 00:00:30, when the run ended: R says why",
			"20s node d was not in the API for 10s, from 00:00:20 to 00:00:30, when the run ended",
		}
		if diff := cmp.Diff(want, *texts); diff != "" {
			t.Errorf("incidents (-want +got):\n%s", diff)
		}
	})
}

// TestALostNode: a cluster is given up, once, for a node that stays away, where specs
// need all nodes; not for one that is no node any more.
func TestALostNode(t *testing.T) {
	for name, test := range map[string]struct {
		all  bool
		want []string
	}{
		"all nodes are needed": {true, []string{"320s node a of cluster c has not been Ready since 00:00:20 (5m00s): R says why"}},
		"they are not":         {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := fake.NewClientset(node("a", corev1.ConditionTrue), node("b", corev1.ConditionTrue), node("back", corev1.ConditionTrue))
				nodes := c.CoreV1().Nodes()
				ctx, cancel := context.WithCancel(t.Context())
				teller, _ := told()
				var lost []string
				o := Options{Cluster: "c", AllNodes: test.all, Lost: func(err error) {
					lost = append(lost, fmt.Sprintf("%.0fs %v", time.Since(began).Seconds(), err))
				}}
				var group sync.WaitGroup
				group.Go(func() { followNodes(ctx, c, &api{Options: o.filled(), teller: teller}) })
				at := func(second int, n *corev1.Node) {
					t.Helper()
					time.Sleep(time.Until(began.Add(time.Duration(second) * time.Second)))
					if _, err := nodes.Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
						t.Error(err)
					}
				}
				at(10, node("back", corev1.ConditionFalse))
				if err := nodes.Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
					t.Error(err)
				}
				at(20, node("a", corev1.ConditionFalse))
				at(300, node("back", corev1.ConditionTrue))
				time.Sleep(10 * time.Minute)
				cancel()
				group.Wait()
				if diff := cmp.Diff(test.want, lost); diff != "" {
					t.Errorf("lost (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What happens while no watch stands is seen by the next list; lists and watches
// that fail are tried again, once a second.
func TestFollowNodesThroughGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := fake.NewClientset()
		asked := 0
		c.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			asked++
			switch s := time.Since(began); {
			case s > 10*time.Second && s < 20*time.Second:
				return true, nil, fmt.Errorf("connection refused")
			case s > 30*time.Second && s < 40*time.Second:
				return true, &corev1.NodeList{Items: []corev1.Node{*node("a", corev1.ConditionTrue)}}, nil
			case s >= 40*time.Second:
				return true, &corev1.NodeList{Items: []corev1.Node{*node("a", corev1.ConditionFalse), {ObjectMeta: metav1.ObjectMeta{Name: "new"}}}}, nil
			}
			return true, &corev1.NodeList{Items: []corev1.Node{*node("a", corev1.ConditionTrue), *node("b", corev1.ConditionTrue)}}, nil
		})
		c.PrependWatchReactor("nodes", func(clienttesting.Action) (bool, watch.Interface, error) {
			if time.Since(began) < 5*time.Second {
				return true, nil, fmt.Errorf("connection refused")
			}
			w := watch.NewFakeWithChanSize(1, false)
			w.Error(&metav1.Status{Code: http.StatusGone})
			return true, w, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		teller, texts := told()
		followNodes(ctx, c, &api{Options: Options{}.filled(), teller: teller})
		want := []string{
			"40s node a was not Ready for 20s, from 00:00:40 to 00:01:00, when the run ended: R says why",
			"31s node b was not in the API for 29s, from 00:00:31 to 00:01:00, when the run ended",
		}
		if diff := cmp.Diff(want, *texts); diff != "" {
			t.Errorf("incidents (-want +got):\n%s", diff)
		}
		if asked > 61 {
			t.Errorf("asked %d times in a minute", asked)
		}
	})
}

// TestABrokenWatchIsTold: the first time that one breaks off is kept.
func TestABrokenWatchIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := fake.NewClientset(node("a", corev1.ConditionTrue))
		c.PrependWatchReactor("nodes", func(clienttesting.Action) (bool, watch.Interface, error) {
			w := watch.NewFake()
			time.AfterFunc(10*time.Second, w.Stop)
			return true, w, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		teller, _ := told()
		a := &api{Options: Options{}.filled(), teller: teller}
		followNodes(ctx, c, a)
		if got := a.broke.Sub(began); got != 10*time.Second {
			t.Errorf("broke off after %s", got)
		}
	})
}

func TestReadiness(t *testing.T) {
	if ready, why := readiness(&corev1.Node{}); ready || why != "no status" {
		t.Errorf("%t, %s", ready, why)
	}
}

// The whole, on a server that is ready and has a node, and ends with its context.
func TestCluster(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/readyz":
			_, _ = io.WriteString(w, "ok")
		case r.URL.Query().Get("watch") == "":
			_ = json.NewEncoder(w).Encode(corev1.NodeList{Items: []corev1.Node{*node("a", corev1.ConditionTrue)}})
		default:
			gone, err := json.Marshal(node("a", corev1.ConditionFalse))
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, `{"type":"DELETED","object":%s}`, gone)
			w.(http.Flusher).Flush()
			cancel()
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	var got []report.Incident
	err := Cluster(ctx, Options{
		Cluster: "c", Config: &rest.Config{Host: server.URL},
		Tell: func(i report.Incident) { got = append(got, i) },
	})
	if err != nil || len(got) > 1 || len(got) == 1 && !strings.HasPrefix(got[0].Text, "node a was not in the API for 0s, from ") {
		t.Errorf("%v, %v", got, err)
	}
	if err := Cluster(ctx, Options{Config: &rest.Config{Host: ":no URL"}}); err == nil {
		t.Error("a bad address is fine?")
	}
}
