package chaos_test

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/e2e/chaos"
	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// neighbour is a cluster of one node that no fault is for.
var neighbour *harness.Cluster

// outside is what there is outside the cluster that faults are for, and may not change.
type outside struct {
	engine *harness.Engine
	api    kubernetes.Interface // of the neighbour
	now    func() time.Duration
	beats  chaos.Beats

	before []string
	pods   map[string]pod

	mu   sync.Mutex
	seen map[string]bool
}

// lookOutside takes the state before a fault.
func lookOutside(ctx context.Context, e *harness.Engine) *outside {
	GinkgoHelper()
	cfg := rest.CopyConfig(neighbour.Config)
	cfg.Timeout = neighbourLimit
	api, err := kubernetes.NewForConfig(cfg)
	Expect(err).NotTo(HaveOccurred())
	o := &outside{engine: e, api: api, seen: map[string]bool{}}
	o.before, err = o.state(ctx)
	Expect(err).NotTo(HaveOccurred())
	o.pods = podsOf(ctx, neighbour)
	return o
}

// state is what the host, the engine and the node say of what is not the cluster's.
func (o *outside) state(ctx context.Context) ([]string, error) {
	all, err := chaos.HostNetwork(ctx, onHost)
	if err != nil {
		return nil, err
	}
	machines, err := o.engine.Containers(ctx, neighbour.Name)
	if err != nil {
		return nil, err
	}
	for _, m := range machines {
		all = append(all, o.machine(ctx, m.Name)...)
	}
	return all, nil
}

// machine is whether and since when a container runs, and what is in it that faults leave.
func (o *outside) machine(ctx context.Context, name string) []string {
	i, err := o.engine.API.ContainerInspect(ctx, name)
	if err != nil {
		return []string{err.Error()}
	}
	all := []string{fmt.Sprintf("container %s: %s since %s, restarts %d", name, i.State.Status, i.State.StartedAt, i.RestartCount)}
	r, err := o.engine.Exec(ctx, name, "sh", "-c", traces)
	if err != nil {
		return append(all, err.Error())
	}
	for _, line := range r.Lines() {
		all = append(all, name+": "+line)
	}
	return all
}

// onHost runs a program where the suite runs, which is where the engine is.
func onHost(ctx context.Context, cmd ...string) (string, error) {
	out, err := exec.CommandContext(ctx, cmd[0], cmd[1:]...).Output() //nolint:gosec // a program of the suite's own table
	return string(out), err
}

// check notes what has changed since the start.
func (o *outside) check(ctx context.Context) {
	now, err := o.state(ctx)
	if err != nil {
		o.saw(err.Error())
		return
	}
	for _, change := range chaos.Changes(o.before, now) {
		o.saw(change)
	}
}

// last is check, and also says all that was seen, pods of the neighbour that restarted included.
func (o *outside) last(ctx context.Context) []string {
	GinkgoHelper()
	o.check(ctx)
	for _, name := range restartedPods(o.pods, podsOf(ctx, neighbour), func(pod) bool { return true }) {
		o.saw("pod of " + neighbour.Name + " restarted: " + name)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return sortedKeys(o.seen)
}

func (o *outside) saw(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen[what] = true
}

// The neighbour's API is asked once a second, and has answered if it did so within the limit.
const (
	neighbourEvery = time.Second
	neighbourLimit = 5 * time.Second
)

// run asks the neighbour's API, and hears what the engine does to its containers.
func (o *outside) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { repeatEvery(ctx, neighbourEvery, o.ask) })
	all.Go(func() { o.hear(ctx) })
	all.Wait()
}

func (o *outside) ask(ctx context.Context) {
	_, err := o.api.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	switch {
	case err == nil:
		o.beats.Add(o.now())
	case ctx.Err() == nil:
		o.saw("the API of " + neighbour.Name + " does not answer: " + err.Error())
	}
}

// felt are the events of a container that something was done to it.
var felt = []string{"create", "destroy", "die", "kill", "oom", "pause", "restart", "start", "stop", "unpause", "update"}

func (o *outside) hear(ctx context.Context) {
	want := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", nodespec.LabelCluster+"="+neighbour.Name))
	for _, action := range felt {
		want.Add("event", action)
	}
	heard, failed := o.engine.API.Events(ctx, events.ListOptions{Filters: want})
	for {
		select {
		case e := <-heard:
			o.saw(fmt.Sprintf("container %s: %s", e.Actor.Attributes["name"], e.Action))
		case err := <-failed:
			if ctx.Err() == nil {
				o.saw("the engine does not tell what becomes of containers: " + err.Error())
			}
			return
		}
	}
}
