package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kluster-project/kluster/internal/status"
)

func TestStepsRelyOnEarlierOnes(t *testing.T) {
	var earlier []string
	for _, s := range createPlan() {
		for _, name := range s.After {
			if !slices.Contains(earlier, name) {
				t.Errorf("step %q is to follow %q, which does not stand before it", s.Name, name)
			}
		}
		if slices.Contains(earlier, s.Name) {
			t.Errorf("two steps are named %q", s.Name)
		}
		earlier = append(earlier, s.Name)
	}
}

// planned is a creation that can run a plan of a test's own.
func planned(wait time.Duration) *creation {
	return &creation{m: &Manager{reporter: status.Discard}, opt: CreateOptions{Wait: wait}}
}

// taking is a step's work that takes d, unless its context ends.
func taking(d time.Duration, err error) func(*creation, context.Context, status.Step) error {
	return func(_ *creation, ctx context.Context, _ status.Step) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestPlanRunsStepsBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := runPlan(t.Context(), []Step{
			{Name: "a", run: taking(time.Second, nil)},
			{Name: "b", After: []string{"a"}, run: taking(2*time.Second, nil)},
			{Name: "c", After: []string{"a"}, run: taking(3*time.Second, nil)},
			{Name: "d", After: []string{"b", "c"}, run: taking(time.Second, nil)},
		}, planned(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestPlanEndsWithTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, ran := errors.New("broken"), false
		began := time.Now()
		err := runPlan(t.Context(), []Step{
			{Name: "a", run: taking(time.Second, broken)},
			{Name: "b", run: taking(time.Hour, nil)},
			{Name: "c", After: []string{"a"}, run: func(*creation, context.Context, status.Step) error { ran = true; return nil }},
		}, planned(time.Hour))
		if !errors.Is(err, broken) || err.Error() != "a: broken" {
			t.Errorf("err = %v", err)
		}
		if took := time.Since(began); ran || took != time.Second {
			t.Errorf("took %s; a step that relies on the failed one ran: %v", took, ran)
		}
	})
}

func TestPlanThatIsLateNamesAllThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := runPlan(t.Context(), []Step{
			{Name: "a", run: taking(time.Minute, nil)},
			{Name: "b", After: []string{"a"}, waits: true, run: taking(time.Hour, nil)},
			{Name: "c", After: []string{"a"}, waits: true, run: taking(time.Hour, nil)},
		}, planned(time.Second))
		if !isTimeout(err) || !strings.Contains(err.Error(), "b: ") || !strings.Contains(err.Error(), "c: ") {
			t.Errorf("err = %v", err)
		}
		if took := time.Since(began); took != time.Minute+time.Second {
			t.Errorf("took %s: the time is to count from the first step that waits", took)
		}
	})
}
