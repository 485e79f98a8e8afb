package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// act is one thing that a process does with cluster "c".
type act struct {
	name string
	do   func(t *testing.T, l *lab, p provider.Provider) error
	// first makes what the act begins with.
	first func(t *testing.T, l *lab)
}

func createC(t *testing.T, l *lab, p provider.Provider) error {
	t.Helper()
	_, err := l.manager(t, p).Create(t.Context(), l.create(t, "c"))
	return err
}

func deleteC(t *testing.T, l *lab, p provider.Provider) error {
	t.Helper()
	_, err := l.manager(t, p).Delete(t.Context(), "c", l.config)
	return err
}

func startC(t *testing.T, l *lab, p provider.Provider) error {
	t.Helper()
	_, err := l.manager(t, p).Life(t.Context(), LifeOptions{Verb: Start, Cluster: "c", Timeout: time.Minute})
	return err
}

// nothing there is before a create, and a cluster before a delete.
func nothing(*testing.T, *lab) {}

func aCluster(t *testing.T, l *lab) {
	t.Helper()
	if err := createC(t, l, l); err != nil {
		t.Fatal(err)
	}
}

func aStoppedCluster(t *testing.T, l *lab) {
	t.Helper()
	aCluster(t, l)
	if _, err := l.manager(t, l).Life(t.Context(), LifeOptions{Verb: Stop, Cluster: "c"}); err != nil {
		t.Fatal(err)
	}
}

var acts = []act{
	{"create", createC, nothing},
	{"delete", deleteC, aCluster},
	{"start", startC, aStoppedCluster},
}

// TestPairsOfOneName has one process do something with a cluster and, at each of its
// calls of the engine, another do all of something else with the one of the same name.
// Whatever wins: there is a whole cluster or none.
func TestPairsOfOneName(t *testing.T) {
	for _, one := range acts {
		for _, other := range acts {
			t.Run(one.name+" and "+other.name, func(t *testing.T) {
				pairs(t, one, other)
			})
		}
	}
}

func pairs(t *testing.T, one, other act) {
	t.Helper()
	for call, met := 1, true; met; call++ {
		t.Run(fmt.Sprint("call ", call), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				one.first(t, l)
				met = false
				var otherErr error
				l.atCall(call, func() error {
					met = true
					otherErr = other.do(t, l, l)
					return nil
				})
				oneErr := one.do(t, l, l)
				l.Fail = nil
				if !met { // the one has made all of its calls
					return
				}
				l.checkPair(t, one, other, oneErr, otherErr)
			})
		})
	}
}

// checkPair sees that a pair has left a whole cluster or none, and says so.
func (l *lab) checkPair(t *testing.T, one, other act, oneErr, otherErr error) {
	t.Helper()
	for _, end := range []struct {
		act
		err error
	}{{one, oneErr}, {other, otherErr}} {
		if end.name == "delete" && end.err != nil {
			t.Errorf("delete: %v", end.err)
		}
	}
	nodes, err := l.Nodes(t.Context(), provider.Selector{nodespec.LabelCluster: "c"})
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes) > 0 {
		l.checkWhole(t, "c")
	} else {
		l.checkGone(t, "c")
	}
	if one.name == "create" && other.name == "create" {
		lost := (*errExists)(nil)
		if (oneErr == nil) == (otherErr == nil) || !errors.As(errors.Join(oneErr, otherErr), &lost) || len(nodes) == 0 {
			t.Errorf("two creates: %v and %v, %d machines", oneErr, otherErr, len(nodes))
		}
	}
}

// TestCreateThatIsDeletedSaysSo: what fails then is of no interest, and there are no logs
// to read.
func TestCreateThatIsDeletedSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		opt := l.create(t, "c")
		opt.OnStep = func(_ context.Context, step string) {
			if step == "readiness" {
				if err := deleteC(t, l, l); err != nil {
					t.Error(err)
				}
			}
		}
		began := time.Now()
		_, err := l.manager(t, l).Create(t.Context(), opt)
		if err == nil || !strings.HasPrefix(err.Error(), `cluster "c" was deleted while it was being created: `) {
			t.Errorf("err = %v", err)
		}
		if took := time.Since(began); took >= opt.Wait {
			t.Errorf("it noticed after %v", took)
		}
		l.checkGone(t, "c")
	})
}

// slowlyGone is an engine that a delete begins on when the control plane boots, and that
// removes the load balancer later than that.
type slowlyGone struct {
	provider.Provider
	began atomic.Pointer[time.Time] // the delete
	seen  bool                      // the control plane is seen to go, and has not gone at once
	later time.Duration             // the load balancer
	looks atomic.Int32              // since it began
}

func (s *slowlyGone) Nodes(ctx context.Context, sel provider.Selector) ([]provider.Node, error) {
	nodes, err := s.Provider.Nodes(ctx, sel)
	began := s.began.Load()
	if began == nil {
		return nodes, err
	}
	s.looks.Add(1)
	for i := range nodes {
		nodes[i].Removing = s.seen && nodes[i].Name == "c-control-plane-1"
	}
	return slices.DeleteFunc(nodes, func(n provider.Node) bool {
		return isLoadBalancer(n) && time.Since(*began) >= s.later || !s.seen && n.Name == "c-control-plane-1"
	}), err
}

func (s *slowlyGone) Exec(_ context.Context, _ string, _ provider.Command) error {
	now := time.Now()
	s.began.CompareAndSwap(nil, &now)
	return errors.New("the node does not run")
}

func TestCreateIsToldOfADeleteThatTakesItsTime(t *testing.T) {
	for name, seen := range map[string]bool{"a machine goes": true, "a machine has gone": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				_, err := l.manager(t, &slowlyGone{Provider: l, seen: seen, later: time.Second}).Create(t.Context(), l.create(t, "c"))
				if err == nil || !strings.HasPrefix(err.Error(), `cluster "c" was deleted while it was being created: `) {
					t.Errorf("err = %v", err)
				}
				l.checkGone(t, "c")
			})
		})
	}
}

// TestCreateThatLosesAMachine: when the others stay, it is not waited long for their end.
func TestCreateThatLosesAMachine(t *testing.T) {
	for name, test := range map[string]struct {
		seen   bool
		later  time.Duration
		want   bool
		within time.Duration
	}{
		"for good":            {false, time.Hour, false, 3 * time.Second},
		"and then the others": {false, time.Second, true, 2 * time.Second},
		"which takes long":    {true, 8 * time.Second, true, 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				aCluster(t, l)
				began := time.Now()
				engine := &slowlyGone{Provider: l, seen: test.seen, later: test.later}
				c := &creation{m: l.manager(t, engine), cfg: wanted(t, "c", 1).Config, nodes: map[string]provider.Node{}}
				nodes, err := l.Nodes(t.Context(), provider.Selector{nodespec.LabelCluster: "c"})
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range nodes {
					c.id, c.nodes[n.Name] = n.Labels[nodespec.LabelCreation], n
				}
				engine.began.Store(&began)
				if got := c.isDeleted(t.Context()); got != test.want {
					t.Errorf("deleted: %v", got)
				}
				if took, looks := time.Since(began), engine.looks.Load(); took > test.within || looks > 40 {
					t.Errorf("it took %v and %d looks", took, looks)
				}
			})
		})
	}
}

// TestStartOfAClusterThatIsDeleted: it is not waited for.
func TestStartOfAClusterThatIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		aStoppedCluster(t, l)
		m := l.manager(t, l)
		m.clients = func([]byte) (kubernetes.Interface, dynamic.Interface, error) {
			if err := deleteC(t, l, l); err != nil {
				t.Error(err)
			}
			return fake.NewClientset(), nil, nil // its nodes are never heard of
		}
		_, err := m.Life(t.Context(), LifeOptions{Verb: Start, Cluster: "c", Timeout: time.Hour})
		if err == nil || !strings.Contains(err.Error(), `cluster "c" was deleted meanwhile`) {
			t.Errorf("err = %v", err)
		}
		l.checkGone(t, "c")
	})
}

// reading reads the kubeconfig again and again until stop, which gives how often: it must
// be one at all times, and hold the entry that nobody touches.
func (l *lab) reading(t *testing.T) (stop func() int) {
	t.Helper()
	done := make(chan struct{})
	reads := make(chan int)
	go func() {
		n := 0
		defer func() { reads <- n }()
		for {
			c, err := clientcmd.LoadFromFile(l.config)
			if err != nil || c.Contexts[somebodys] == nil {
				t.Errorf("read %d: %v, or somebody's entry is lost", n, err)
				return
			}
			n++
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	return func() int { close(done); return <-reads }
}

// together calls f for each number below n, all at once.
func together(n int, f func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { f(i) })
	}
	group.Wait()
}

// TestManyClustersShareOneKubeconfig makes 20 clusters at once, then 20 more while the
// first ones go, each by a kluster of its own.
func TestManyClustersShareOneKubeconfig(t *testing.T) {
	l := newLab(t)
	conf := `{apiVersion: v1, kind: Config, clusters: [{name: somebodys, cluster: {server: "https://other.test"}}],
  contexts: [{name: somebodys, context: {cluster: somebodys, user: somebodys}}], users: [{name: somebodys, user: {token: t}}]}`
	if err := os.WriteFile(l.config, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	const many = 20
	name := func(set string, i int) string { return fmt.Sprintf("%s%d", set, i) }
	create := func(set string, i int) {
		opt := l.create(t, name(set, i))
		opt.Wait = time.Minute // beside so many, on a busy machine
		if _, err := l.manager(t, l).Create(t.Context(), opt); err != nil {
			t.Error(err)
		}
	}
	check := func(set string) {
		want := []string{somebodys}
		for i := range many {
			want = append(want, ContextName(name(set, i)))
			l.checkWhole(t, name(set, i))
		}
		slices.Sort(want)
		if got := l.entries(t); !slices.Equal(got, want) {
			t.Errorf("entries %v, want %v", got, want)
		}
	}
	stop := l.reading(t)
	together(many, func(i int) { create("a", i) })
	check("a")
	together(2*many, func(i int) {
		if i < many {
			create("b", i)
			return
		}
		if _, err := l.manager(t, l).Delete(t.Context(), name("a", i-many), l.config); err != nil {
			t.Error(err)
		}
	})
	check("b")
	together(many, func(i int) {
		if _, err := l.manager(t, l).Delete(t.Context(), name("b", i), l.config); err != nil {
			t.Error(err)
		}
	})
	reads := stop()
	if got := l.entries(t); !slices.Equal(got, []string{somebodys}) {
		t.Errorf("entries %v", got)
	}
	for _, set := range []string{"a", "b"} {
		for i := range many {
			l.checkGone(t, name(set, i))
		}
	}
	t.Logf("the file was read %d times", reads)
}
