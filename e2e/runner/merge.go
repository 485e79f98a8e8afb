package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// RunAll runs parts of one suite at once, each on a cluster of its own, and gives
// one report of them below the folder. Parts without specs are left out.
func RunAll(ctx context.Context, dir string, parts []Options) (*report.Report, error) {
	parts = slices.DeleteFunc(slices.Clone(parts), func(o Options) bool {
		return o.Plan != nil && len(o.Plan.Specs) == 0
	})
	if len(parts) == 1 && parts[0].Dir == dir {
		return Run(ctx, parts[0])
	}
	done := make([]Part, len(parts))
	errs := make([]error, len(parts))
	var group sync.WaitGroup
	for i, o := range parts {
		group.Go(func() {
			r, err := Run(ctx, o)
			rel, relErr := filepath.Rel(dir, o.Dir)
			if err != nil {
				err = fmt.Errorf("on %s: %w", o.Cluster, err)
			}
			done[i], errs[i] = Part{Report: r, Dir: rel, Cluster: o.Cluster}, errors.Join(err, relErr)
		})
	}
	group.Wait()
	ran := slices.DeleteFunc(slices.Clone(done), func(p Part) bool { return p.Report == nil })
	if len(ran) == 0 {
		return nil, errors.Join(append(errs, noParts(parts))...)
	}
	// What never started is missing, not forgotten.
	for i, p := range done {
		if p.Report == nil {
			ran = append(ran, Part{Report: NotRun(parts[i], errs[i]), Dir: p.Dir})
		}
	}
	r := Merge(ran)
	return r, incomplete(r, errors.Join(errs...))
}

func noParts(parts []Options) error {
	if len(parts) > 0 {
		return nil
	}
	return failure.New("there is no spec to run", failure.Exit(failure.CodeUsage))
}

// NotRun is the report of a run that did not start, or was not let to: each spec of
// its plan is missing.
func NotRun(o Options, cause error) *report.Report {
	now := time.Now()
	r := &report.Report{
		APIVersion: report.APIVersion, Kind: report.Kind, Suite: o.Suite, Filter: o.Filter,
		Started: now, Ended: now, Interrupted: cause.Error(),
	}
	if o.Plan != nil {
		r.Specs = newSpecs(*o.Plan).all()
	}
	return r
}

// Part is a report to be merged.
type Part struct {
	Report *report.Report
	Dir    string // its folder, relative to that of the merged report
	// Cluster is named with its incidents, "" where there is but one.
	Cluster string
}

// Merge makes one report of several of the same suite, at least one. A spec that
// is in several has all of its attempts, and the state that follows from them.
func Merge(parts []Part) *report.Report {
	merged := *parts[0].Report
	merged.Procs, merged.Resumed = 0, 0
	merged.Clusters, merged.Parts, merged.Incidents = nil, nil, nil
	specs := newSpecs(Plan{})
	var interrupted []string
	for _, part := range parts {
		r := part.Report
		if r.Started.Before(merged.Started) {
			merged.Started = r.Started
		}
		if r.Ended.After(merged.Ended) {
			merged.Ended = r.Ended
		}
		merged.Procs += r.Procs
		merged.Resumed = max(merged.Resumed, r.Resumed)
		for _, i := range r.Incidents {
			if part.Cluster != "" {
				i.Text = part.Cluster + ": " + i.Text
			}
			merged.Incidents = append(merged.Incidents, i)
		}
		if r.Interrupted != "" && !slices.Contains(interrupted, r.Interrupted) {
			interrupted = append(interrupted, r.Interrupted)
		}
		merged.Clusters = addNew(merged.Clusters, r.Clusters, clusterKey)
		merged.Parts = addNew(merged.Parts, r.Parts, partKey)
		for _, s := range r.Specs {
			into := specs.spec(s.Name, s.Labels)
			into.Attempts = append(into.Attempts, moved(s.Attempts, part.Dir)...)
		}
	}
	for _, s := range specs.list {
		slices.SortStableFunc(s.Attempts, func(a, b report.Attempt) int { return a.Started.Compare(b.Started) })
	}
	slices.SortStableFunc(merged.Incidents, func(a, b report.Incident) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Text, b.Text))
	})
	merged.Interrupted = strings.Join(interrupted, "; ")
	merged.Specs = specs.all()
	return &merged
}

// moved are attempts whose evidence is found from the merged report.
func moved(attempts []report.Attempt, dir string) []report.Attempt {
	out := slices.Clone(attempts)
	for i, a := range out {
		if a.Evidence != "" {
			out[i].Evidence = path.Join(filepath.ToSlash(dir), a.Evidence)
		}
	}
	return out
}

// clusterKey and partKey are equal for what a report names once. A cluster that was
// made anew may be another in all but its name.
func clusterKey(c report.Cluster) string { return fmt.Sprintf("%+v", c) }

func partKey(p report.Part) string { return p.Name + " " + p.Digest }

// addNew appends what is not there yet.
func addNew[T any](to, more []T, key func(T) string) []T {
	for _, m := range more {
		if !slices.ContainsFunc(to, func(t T) bool { return key(t) == key(m) }) {
			to = append(to, m)
		}
	}
	return to
}
