package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/config"
)

// Files of a matrix, beside the folders of its runs' reports.
const (
	ComparisonFile     = "comparison.json"
	ComparisonHTMLFile = "comparison.html"
	ComparisonTextFile = "comparison.txt"
)

// Combination is what runs the containers of one cluster of a matrix.
type Combination struct {
	// Name is also that of its report's folder: "cri-o", "cri-o-crun".
	Name    string
	Runtime string
	// Cluster is to be made for it; nil if there can be no such cluster, and Refused
	// says why.
	Cluster *config.Cluster
	Refused error
	// Command, Resumed and Flags are Options' own, of its run alone.
	Command, Resumed []string
	Flags            map[string][]string
}

// MatrixOptions are those of a matrix.
type MatrixOptions struct {
	// Options of all runs; what is one run's own (Target, Command, Resumed, Flags) is
	// the combinations'. Dir is the folder of all.
	Options
	Combinations []Combination
	// AtOnce is how many runs go on at once; 0 for one. Of several, Options.Show is
	// not asked.
	AtOnce int
}

// Outcome is what became of a combination.
type Outcome struct {
	Combination Combination
	// Report is nil if no spec was started, and Err says why, or why not all ran.
	Report *report.Report
	Err    error
}

// Matrix is what became of all of them.
type Matrix struct {
	Outcomes   []Outcome
	Comparison *report.Comparison
}

// PlanMatrix says what each run of a matrix would do, and starts nothing. A mistake
// that all runs share is an error here.
func (r *Runner) PlanMatrix(ctx context.Context, opt MatrixOptions) (Planned, error) {
	var refused []error
	var runtimes []string
	first := -1
	for i, c := range opt.Combinations {
		runtimes, refused = append(runtimes, c.Runtime), append(refused, c.Refused)
		if c.Cluster != nil && first < 0 {
			first = i
		}
	}
	if first < 0 {
		return Planned{}, errors.Join(refused...)
	}
	one := opt.Options
	one.Expectations = nil // of all runtimes, they are looked at below
	one.Target = Target{Create: []*config.Cluster{opt.Combinations[first].Cluster}}
	planned, err := r.Plan(ctx, one)
	if err != nil {
		return Planned{}, err
	}
	if planned.expected, err = listsFor(planned.Suite, opt.Expectations); err != nil {
		return Planned{}, err
	}
	if version := one.Create[0].KubernetesVersion; version != "" {
		err = errors.Join(planned.expected.CheckUse(version, runtimes...), planned.expected.Check(version, planned.All))
	}
	return planned, err
}

// Matrix runs a suite on a cluster for each combination and compares the reports.
// There is a Matrix as soon as one has a report; failed specs are no error. The runs'
// reports are in folders of their own, and the comparison beside them.
func (r *Runner) Matrix(ctx context.Context, opt MatrixOptions) (*Matrix, error) {
	if err := freshMatrix(opt); err != nil {
		return nil, err
	}
	planned, err := r.PlanMatrix(ctx, opt)
	if err != nil {
		return nil, err
	}
	opt.Expectations = planned.expected
	opt.Seed = cmp.Or(opt.Seed, time.Now().Unix())
	for _, c := range opt.Combinations {
		if c.Cluster != nil {
			opt.ImageRuntimes = append(opt.ImageRuntimes, c.Runtime)
		}
	}
	m := &Matrix{Outcomes: r.runAll(ctx, opt)}
	var reports []report.Named
	var notRun []report.NotRun
	var errs []error
	for _, o := range m.Outcomes {
		switch {
		case o.Report != nil:
			reports = append(reports, report.Named{Name: o.Combination.Name, Report: o.Report})
		default:
			notRun = append(notRun, report.NotRun{Name: o.Combination.Name, Reason: o.Err.Error()})
		}
		if o.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.Combination.Name, o.Err))
		}
	}
	if len(reports) == 0 {
		return nil, errors.Join(errs...)
	}
	compared, err := report.CompareRuns(notRun, reports...)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	m.Comparison = compared
	return m, errors.Join(append(errs, writeComparison(opt.Dir, compared))...)
}

// freshMatrix refuses a folder that holds runs already.
func freshMatrix(opt MatrixOptions) error {
	taken := []string{ComparisonFile, report.FileName, RecordFile}
	for _, c := range opt.Combinations {
		taken = append(taken, filepath.Join(c.Name, report.FileName), filepath.Join(c.Name, RecordFile))
	}
	for _, name := range taken {
		if _, err := os.Stat(filepath.Join(opt.Dir, name)); err == nil {
			return usageError(fmt.Errorf("folder of the reports: %s holds other runs", opt.Dir), "give another folder, with --report-dir")
		}
	}
	return nil
}

// runAll runs the combinations, so many at once. What an interruption finds waiting
// does not begin.
func (r *Runner) runAll(ctx context.Context, opt MatrixOptions) []Outcome {
	outcomes := make([]Outcome, len(opt.Combinations))
	places := make(chan struct{}, max(1, opt.AtOnce))
	var group sync.WaitGroup
	for i, c := range opt.Combinations {
		outcomes[i].Combination = c
		if c.Cluster == nil {
			outcomes[i].Err = c.Refused
			continue
		}
		places <- struct{}{}
		if ctx.Err() != nil {
			outcomes[i].Err = context.Cause(ctx)
			<-places
			continue
		}
		group.Go(func() {
			defer func() { <-places }()
			outcomes[i].Report, outcomes[i].Err = r.runOne(ctx, c, opt)
		})
	}
	group.Wait()
	return outcomes
}

func (r *Runner) runOne(ctx context.Context, c Combination, opt MatrixOptions) (*report.Report, error) {
	one := opt.Options
	one.Dir, one.Target = filepath.Join(opt.Dir, c.Name), Target{Create: []*config.Cluster{c.Cluster}}
	one.Command, one.Resumed, one.Flags = c.Command, c.Resumed, c.Flags
	if version := c.Cluster.KubernetesVersion; version != "" {
		one.Expectations, _ = opt.Expectations.For(c.Runtime, version)
	}
	runner := *r
	if opt.AtOnce < 2 {
		r.Reporter.Note("%s", c.Name)
		return runner.Run(ctx, one)
	}
	step := r.Reporter.Step(c.Name, 0)
	runner.Reporter = step
	one.Show = func(map[string]float64) Shown { return &shownInStep{step: step, name: c.Name} }
	got, err := runner.Run(ctx, one)
	step.End(err)
	return got, err
}

// writeComparison writes every form of a comparison into the folder of a matrix.
func writeComparison(dir string, c *report.Comparison) error {
	for _, form := range []struct {
		file  string
		write func(io.Writer) error
	}{
		{ComparisonFile, func(w io.Writer) error {
			text, err := c.JSON()
			if err == nil {
				_, err = w.Write(append(text, '\n'))
			}
			return err
		}},
		{ComparisonHTMLFile, c.WriteHTML},
		{ComparisonTextFile, c.WriteText},
	} {
		if err := writeFile(filepath.Join(dir, form.file), form.write); err != nil {
			return err
		}
	}
	return nil
}
