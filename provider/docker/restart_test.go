package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
)

// TestPolicyOfANode: a node that is up has the policy with which it comes back however
// the engine ends, and one that was stopped has that with which it stays down.
func TestPolicyOfANode(t *testing.T) {
	p, spec := withImage(t, "policy")
	spec.Restart = true
	node, err := p.CreateNode(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	start := func() error { return p.StartNode(t.Context(), node.ID) }
	stop := func() error { return p.StopNode(t.Context(), node.ID, time.Second) }
	kill := func() error { return p.KillNode(t.Context(), node.ID, "KILL") }
	byEngine := func() error { return p.api.ContainerStop(t.Context(), node.ID, container.StopOptions{}) }
	for i, step := range []struct {
		do   func() error
		want container.RestartPolicyMode
	}{
		{func() error { return nil }, container.RestartPolicyAlways},
		{start, container.RestartPolicyAlways},
		{stop, container.RestartPolicyUnlessStopped},
		{stop, container.RestartPolicyUnlessStopped},
		{start, container.RestartPolicyAlways},
		{kill, container.RestartPolicyAlways},
		{start, container.RestartPolicyAlways},
		{byEngine, container.RestartPolicyAlways},
		{stop, container.RestartPolicyUnlessStopped},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		c, err := p.api.ContainerInspect(t.Context(), node.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.HostConfig.RestartPolicy.Name; got != step.want {
			t.Errorf("after step %d the policy is %q, want %q", i+1, got, step.want)
		}
	}
}

// policyEngine is an engine with one container, "a".
type policyEngine struct {
	labels  map[string]string
	policy  container.RestartPolicyMode
	state   container.State
	calls   []string
	onStop  func(w http.ResponseWriter)
	failing bool // no policy can be changed
}

func (e *policyEngine) handle(w http.ResponseWriter, r *http.Request) {
	_, verb, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/containers/"), "/")
	switch verb {
	case "json":
		_ = json.NewEncoder(w).Encode(container.InspectResponse{
			ContainerJSONBase: &container.ContainerJSONBase{ID: "a", State: &e.state, HostConfig: &container.HostConfig{
				RestartPolicy: container.RestartPolicy{Name: e.policy},
			}},
			Config: &container.Config{Labels: e.labels},
		})
		return
	case "stop":
		e.calls = append(e.calls, verb)
		if e.onStop != nil {
			e.onStop(w)
		}
		return
	case "update":
		var update container.UpdateConfig
		_ = json.NewDecoder(r.Body).Decode(&update)
		verb = fmt.Sprintf("policy %s", update.RestartPolicy.Name)
		if e.failing {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"message":"broken"}`)
			return
		}
		fmt.Fprint(w, `{}`)
	}
	e.calls = append(e.calls, verb)
}

// TestPolicyOfOthers: what has no policy of kluster's, or runs, or goes, keeps what it has.
func TestPolicyOfOthers(t *testing.T) {
	const up, down = container.RestartPolicyAlways, container.RestartPolicyUnlessStopped
	ours := map[string]string{restartLabel: ""}
	for name, test := range map[string]struct {
		engine policyEngine
		want   []string
	}{
		"one that is up":              {policyEngine{labels: ours, policy: up}, []string{"stop", "policy unless-stopped", "start"}},
		"one that is down":            {policyEngine{labels: ours, policy: down}, []string{"stop", "policy always", "start"}},
		"one of an earlier kluster":   {policyEngine{policy: down}, []string{"stop", "start"}},
		"one that nothing starts":     {policyEngine{policy: container.RestartPolicyDisabled}, []string{"stop", "start"}},
		"one that was told otherwise": {policyEngine{labels: ours, policy: container.RestartPolicyDisabled}, []string{"stop", "start"}},
		"one that runs again":         {policyEngine{labels: ours, policy: up, state: container.State{Running: true}}, []string{"stop", "start"}},
		"one that is being removed":   {policyEngine{labels: ours, policy: up, state: container.State{Status: container.StateRemoving}}, []string{"stop", "start"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := &test.engine
			fakeEngine(t, "1.41", "linux", e.handle)
			p, err := New(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := errors.Join(p.StopNode(t.Context(), "a", 0), p.StartNode(t.Context(), "a")); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, e.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPolicyOfAStopThatFails: it comes back, since it was not stopped.
func TestPolicyOfAStopThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		failing bool // the change of the policy, otherwise the stop itself
		want    string
		calls   []string
	}{
		"the stop":   {false, "broken", []string{"stop"}},
		"the policy": {true, "comes back with the engine until it is stopped once more", []string{"stop"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := &policyEngine{labels: map[string]string{restartLabel: ""}, policy: container.RestartPolicyAlways, failing: test.failing}
			if !test.failing {
				e.onStop = func(w http.ResponseWriter) {
					w.WriteHeader(http.StatusInternalServerError)
					fmt.Fprint(w, `{"message":"broken"}`)
				}
			}
			fakeEngine(t, "1.41", "linux", e.handle)
			p, err := New(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			err = p.StopNode(t.Context(), "a", 0)
			if err == nil || !strings.Contains(err.Error(), test.want) || !slices.Equal(e.calls, test.calls) {
				t.Errorf("got %v after %q", err, e.calls)
			}
		})
	}
}

// TestPolicyOutlivesItsCaller: who gives up when the node has stopped leaves it stopped.
func TestPolicyOutlivesItsCaller(t *testing.T) {
	e := &policyEngine{labels: map[string]string{restartLabel: ""}, policy: container.RestartPolicyAlways}
	fakeEngine(t, "1.41", "linux", e.handle)
	p, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.keepDown(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"policy unless-stopped"}; !slices.Equal(e.calls, want) {
		t.Errorf("got %q, want %q", e.calls, want)
	}
}
