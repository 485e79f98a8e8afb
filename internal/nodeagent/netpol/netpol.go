// Package netpol holds the NetworkPolicies (networking.k8s.io/v1) of a cluster on
// one of its nodes: what may reach the node's pods, and what they may reach. It
// follows the API, compiles a plan of rules, and changes one nftables table of its
// own in one transaction for each change.
//
// A node of a cluster without policies watches just these. Pods and namespaces of
// the whole cluster are watched once there is one.
package netpol

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kluster-project/kluster/internal/wait"
)

const (
	// resync is how often everything is set again: someone may have changed it.
	resync = 30 * time.Second
	// retry is how soon a change that could not be made is tried again.
	retry = time.Second
	// linger is how long pods are watched after the last policy is gone; the next
	// one may come soon, and holds sooner then.
	linger = time.Minute
)

// Service holds the policies of one node.
type Service struct {
	// Node is the node's name.
	Node string
	// Policies, Pods and Namespaces list and watch those of the whole cluster.
	Policies, Pods, Namespaces cache.ListerWatcher
	// Find asks the API for a pod, nil if there is none.
	Find func(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	// Apply gives rules to nft.
	Apply func(ctx context.Context, rules string) error
	// Gate holds up pods that start.
	Gate *Gate
	Log  *slog.Logger

	early early
	told  chan told
	// set is what the table holds; nil when that is not known.
	set *Rules
	// faults are those told already.
	faults string
}

// Run serves until ctx ends, which is no error. The table stays, for the pods that
// go on running; the next Run takes it over.
func (s *Service) Run(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	changed := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	defer s.Gate.close()
	s.early, s.told = early{}, make(chan told)
	ctx, stop := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer stop()
	view := &view{policies: follow[*networkingv1.NetworkPolicy](ctx, s.Policies, changed)}
	defer view.stop()
	for {
		pause := resync
		world, known := s.look(ctx, view, changed)
		if held := !known || s.hold(ctx, world); !held || s.early.waiting() {
			pause = retry
		}
		for _, a := range s.early.strangers() {
			a.asked = true
			asking.Go(func() { s.ask(ctx, a) })
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wake:
		case a := <-s.Gate.arrivals:
			s.early.add(a)
		case t := <-s.told:
			s.early.hear(t)
		case <-timer.C:
			s.forget()
		}
		timer.Stop()
	}
}

// findTime bounds a question about a pod.
const findTime = 5 * time.Second

// ask asks the API about a pod that the watch does not tell of: it may lag behind, as it
// does after a time without an API. The pod starts only if there is no such pod, as with
// a static one.
func (s *Service) ask(ctx context.Context, a *arrival) {
	asking, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	t := told{arrival: a}
	if t.pod, t.err = s.Find(asking, a.Namespace, a.Pod); t.err != nil {
		s.Log.Warn("a pod waits: the API cannot be asked which network policies it has", "pod", a.Namespace+"/"+a.Pod, "error", t.err)
		wait.For(asking, retry)
	}
	select {
	case s.told <- t:
	case <-ctx.Done():
	}
}

// view is what is watched: the policies, and while there are some, what they are about.
type view struct {
	policies   *following[*networkingv1.NetworkPolicy]
	pods       *following[*corev1.Pod]
	namespaces *following[*corev1.Namespace]
	// unused is since when there has been no policy.
	unused time.Time
}

// look gives the world as far as policies need it; known says that all of this has
// been listed.
func (s *Service) look(ctx context.Context, v *view, changed func()) (w World, known bool) {
	policies, listed := v.policies.list()
	w = World{Node: s.Node, Policies: policies}
	if !listed {
		return w, false
	}
	if len(policies) == 0 {
		v.rest()
		return w, true
	}
	if v.unused = (time.Time{}); v.pods == nil {
		v.pods = follow[*corev1.Pod](ctx, s.Pods, changed)
		v.namespaces = follow[*corev1.Namespace](ctx, s.Namespaces, changed)
	}
	var pods, namespaces bool
	w.Pods, pods = v.pods.list()
	w.Namespaces, namespaces = v.namespaces.list()
	if !pods || !namespaces {
		return w, false
	}
	w.Pods = s.early.join(w.Pods)
	return w, true
}

// rest ends the watch of pods when it has not been needed for long enough.
func (v *view) rest() {
	switch {
	case v.pods == nil:
	case v.unused.IsZero():
		v.unused = time.Now()
	case time.Since(v.unused) > linger:
		v.stopPods()
	}
}

func (v *view) stopPods() {
	if v.pods != nil {
		v.pods.stop()
		v.namespaces.stop()
		v.pods, v.namespaces = nil, nil
	}
}

func (v *view) stop() {
	v.policies.stop()
	v.stopPods()
}

// hold makes the node what the world wants, and tells whether that worked.
func (s *Service) hold(ctx context.Context, w World) bool {
	none := len(w.Policies) == 0
	gate := s.Gate.Shut
	if none {
		gate = s.Gate.Lift
	}
	if err := gate(); err != nil {
		s.Log.Error("pods may start before their network policies hold", "error", err)
	}
	if !s.setRules(ctx, w) {
		return false
	}
	s.early.settle(none)
	return true
}

func (s *Service) setRules(ctx context.Context, w World) bool {
	plan := Compile(w)
	s.tell(plan.Faults)
	rules := Render(plan)
	var text string
	switch {
	case s.set == nil || s.set.Empty() != rules.Empty():
		text = rules.Replace()
	default:
		text = rules.Update(*s.set)
	}
	if text == "" {
		return true
	}
	if err := s.Apply(ctx, text); err != nil {
		s.set = nil
		s.Log.Error("cannot set the rules of network policies", "error", err)
		return false
	}
	if s.set == nil || s.set.Empty() != rules.Empty() {
		s.Log.Info("network policies", "policies", len(w.Policies), "isolated addresses", plan.addressCount())
	}
	s.set = &rules
	return true
}

// forget has all of the table set again, if there is one.
func (s *Service) forget() {
	if s.set != nil && !s.set.Empty() {
		s.set = nil
	}
}

// tell logs what cannot be understood, once.
func (s *Service) tell(faults []string) {
	text := strings.Join(faults, "; ")
	if text != s.faults && text != "" {
		s.Log.Warn("parts of network policies are not understood and allow nothing", "faults", text)
	}
	s.faults = text
}
