package runner_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
)

func TestShards(t *testing.T) {
	plan := runner.Plan{Description: "tiny", Specs: []runner.Spec{
		{Name: "a"},
		{Name: "b"},
		{Name: "c"},
		{Name: "unknown"},
		{Name: "first", Group: "g"},
		{Name: "second", Group: "g"},
		{Name: "alone", Serial: true},
		{Name: "alone too", Serial: true},
	}}
	seconds := map[string]float64{"a": 100, "b": 60, "c": 50, "first": 1, "second": 1, "alone": 10, "alone too": 20}
	for name, test := range map[string]struct {
		procs []int
		want  [][]string
	}{
		"one":      {[]int{4}, [][]string{{"alone too", "alone", "a", "b", "c", "unknown", "first", "second"}}},
		"two":      {[]int{2, 2}, [][]string{{"a", "c", "first", "second"}, {"alone too", "alone", "b", "unknown"}}},
		"a strong": {[]int{10, 1}, [][]string{{"a", "b", "c", "unknown", "first", "second"}, {"alone too", "alone"}}},
		"many": {[]int{1, 1, 1, 1, 1, 1, 1}, [][]string{
			{"a"}, {"b"}, {"c"}, {"unknown"}, {"first", "second"}, {}, {"alone too", "alone"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var got [][]string
			for _, shard := range plan.Shards(test.procs, seconds) {
				if shard.Description != "tiny" {
					t.Errorf("description: %q", shard.Description)
				}
				got = append(got, shard.Names())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("shards (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }
	one := &report.Report{
		APIVersion: report.APIVersion, Kind: report.Kind, Suite: "tiny", Started: at(1), Ended: at(5), Procs: 2, Seed: 7,
		Clusters: []report.Cluster{{Name: "one"}}, Parts: []report.Part{{Name: "e2e.test", Digest: "x"}},
		Incidents: []report.Incident{{Time: at(4), Text: "later"}}, Interrupted: "enough",
		Specs: []report.Spec{
			{Name: "a", State: report.Passed, Attempts: []report.Attempt{{Started: at(4), State: "passed"}}},
			{Name: "b", State: report.Missing},
		},
	}
	two := &report.Report{
		Suite: "tiny", Started: at(0), Ended: at(9), Procs: 3, Resumed: 1,
		Clusters: []report.Cluster{{Name: "two"}, {Name: "one"}}, Parts: []report.Part{{Name: "e2e.test", Digest: "x"}, {Name: "y"}},
		Incidents: []report.Incident{{Time: at(2), Text: "earlier"}}, Interrupted: "enough",
		Specs: []report.Spec{{Name: "a", State: report.Failed, Attempts: []report.Attempt{{Started: at(2), State: "failed", Evidence: "failures/a"}}}},
	}
	want := &report.Report{
		APIVersion: report.APIVersion, Kind: report.Kind, Suite: "tiny", Started: at(0), Ended: at(9), Procs: 5, Seed: 7, Resumed: 1,
		Clusters: []report.Cluster{{Name: "one"}, {Name: "two"}}, Parts: []report.Part{{Name: "e2e.test", Digest: "x"}, {Name: "y"}},
		Incidents: []report.Incident{{Time: at(2), Text: "earlier"}, {Time: at(4), Text: "later"}}, Interrupted: "enough",
		Specs: []report.Spec{
			{Name: "a", State: report.Flaky, Attempts: []report.Attempt{
				{Started: at(2), State: "failed", Evidence: "two/failures/a"}, {Started: at(4), State: "passed"},
			}},
			{Name: "b", State: report.Missing},
		},
	}
	if diff := cmp.Diff(want, runner.Merge([]runner.Part{{Report: one, Dir: "one"}, {Report: two, Dir: "two"}})); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if two.Specs[0].Attempts[0].Evidence != "failures/a" {
		t.Error("the part was changed")
	}
}

func TestRunAll(t *testing.T) {
	p := program(t, streaming)
	filter := report.Filter{Labels: "plain"}
	plan, err := runner.MakePlan(t.Context(), p, filter)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var parts []runner.Options
	procs := []int{2, 1, 1}
	for i, shard := range plan.Shards(procs, map[string]float64{"tiny runs alone": 1000}) {
		o := options(t, p, filter.Labels)
		o.Cluster = fmt.Sprint("cluster-", i)
		o.Dir, o.Plan, o.Exact, o.Procs = filepath.Join(dir, o.Cluster), &shard, true, procs[i]
		parts = append(parts, o)
	}
	r, err := runner.RunAll(t.Context(), dir, parts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain, outcome(r)); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	used := map[string]bool{}
	for _, s := range r.Specs {
		used[s.Attempts[0].Cluster] = true
	}
	if got := slices.Sorted(maps.Keys(used)); len(got) != 3 || spec(t, r, "runs alone").Attempts[0].Cluster != "cluster-2" {
		t.Errorf("specs ran on %v", got)
	}
	if _, err := runner.RunAll(t.Context(), dir, nil); err == nil {
		t.Error("nothing to run is no error")
	}
}

// TestAPartThatCannotStartIsMissing: its specs are not forgotten, which would make
// a good run of what is left.
func TestAPartThatCannotStartIsMissing(t *testing.T) {
	p := program(t, streaming)
	filter := report.Filter{Labels: "timed"}
	plan, err := runner.MakePlan(t.Context(), p, filter)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var parts []runner.Options
	for i, shard := range plan.Shards([]int{1, 1}, nil) {
		o := options(t, p, filter.Labels)
		o.Cluster = fmt.Sprint("cluster-", i)
		o.Dir, o.Plan, o.Exact = filepath.Join(dir, o.Cluster), &shard, true
		parts = append(parts, o)
	}
	occupied := parts[0]
	if err := os.MkdirAll(occupied.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(occupied.Dir, runner.JournalFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := runner.RunAll(t.Context(), dir, parts)
	if err == nil || !strings.Contains(err.Error(), "already holds a run") {
		t.Errorf("err = %v", err)
	}
	s := r.Summarize()
	if s.Planned != len(plan.Specs) || s.Missing != len(occupied.Plan.Specs) || s.Missing == 0 || s.Verdict != report.VerdictIncomplete {
		t.Errorf("of %d specs: %+v", len(plan.Specs), s)
	}
}
