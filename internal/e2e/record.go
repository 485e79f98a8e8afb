package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/shell"
	"github.com/kluster-project/kluster/internal/status"
)

// RecordFile is the name of a run's record in the folder of its report.
const RecordFile = "run.json"

// Format of a record.
const (
	recordVersion = "kluster.dev/v1alpha1"
	recordKind    = "E2ERun"
)

// Record is what a run was begun as, written before its first spec starts: with the
// journals of its parts, all that is needed to take it up again.
type Record struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Begun      time.Time `json:"begun"`
	// Flags are those of the user's command line, by name.
	Flags map[string][]string `json:"flags,omitempty"`
	// Suite is its name, or the absolute path of its folder.
	Suite string `json:"suite"`
	// Filter is the user's.
	Filter     report.Filter `json:"filter"`
	Kubernetes string        `json:"kubernetes,omitempty"`
	Seed       int64         `json:"seed"`
	// Clusters are none for a suite that makes its own.
	Clusters []recordedCluster `json:"clusters,omitempty"`
	// LeftOut are specs of the suite that cannot run here.
	LeftOut []report.Spec `json:"leftOut,omitempty"`
	// Parts are the specs as they were dealt to programs and clusters.
	Parts []recordedPart `json:"parts,omitempty"`
}

// recordedCluster is a cluster of a run.
type recordedCluster struct {
	Name string `json:"name"`
	// Kubeconfig is the absolute path of that of a cluster which kluster did not make.
	Kubeconfig string `json:"kubeconfig,omitempty"`
	// Of a cluster that was made for the run: how many nodes of which role, and the
	// digest of its whole configuration.
	Nodes         string `json:"nodes,omitempty"`
	Configuration string `json:"configuration,omitempty"`
	// CA is the digest of its certificate authority, by which one that is left of a
	// run that was killed is known.
	CA string `json:"ca,omitempty"`
}

// recordedPart are specs of one program on one cluster, which have a journal of their
// own once they have begun.
type recordedPart struct {
	Program string      `json:"program,omitempty"` // its folder's name, "" for the only one
	Cluster string      `json:"cluster,omitempty"`
	Dir     string      `json:"dir,omitempty"` // relative to the report's
	Plan    runner.Plan `json:"plan"`
	// Exact says that the specs are a part of what the filter picks.
	Exact bool `json:"exact,omitempty"`
}

// LoadRecord reads the record of the run in a folder.
func LoadRecord(dir string) (*Record, error) {
	data, err := os.ReadFile(filepath.Join(dir, RecordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError(fmt.Errorf("the folder %s holds no run to take up", dir),
			"name the folder of one with --report-dir, or leave out --resume to begin another")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of the run: %w", err)
	}
	x := &Record{}
	if err := json.Unmarshal(data, x); err != nil {
		return nil, fmt.Errorf("reading the record of the run %s: %w", filepath.Join(dir, RecordFile), err)
	}
	if x.APIVersion != recordVersion || x.Kind != recordKind {
		return nil, usageError(fmt.Errorf("the run in %s is a %s of %s: this kluster takes up %s of %s", dir, x.Kind, x.APIVersion, recordKind, recordVersion),
			"take it up with the kluster that began it")
	}
	return x, nil
}

// write writes the record into a folder, whole or not at all.
func (x *Record) write(dir string) error {
	x.APIVersion, x.Kind = recordVersion, recordKind
	data, err := json.MarshalIndent(x, "", " ")
	if err != nil {
		return fmt.Errorf("writing the record of the run: %w", err)
	}
	next := filepath.Join(dir, "."+RecordFile+".next")
	if err := os.WriteFile(next, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the record of the run: %w", err)
	}
	if err := os.Rename(next, filepath.Join(dir, RecordFile)); err != nil {
		return fmt.Errorf("writing the record of the run: %w", err)
	}
	return nil
}

// plan is what a program shall run, over all of its parts.
func (x *Record) plan(program string) runner.Plan {
	var whole runner.Plan
	for _, p := range x.partsOf(program) {
		whole.Description = p.Plan.Description
		whole.Specs = append(whole.Specs, p.Plan.Specs...)
	}
	return whole
}

func (x *Record) partsOf(program string) []recordedPart {
	var parts []recordedPart
	for _, p := range x.Parts {
		if p.Program == program {
			parts = append(parts, p)
		}
	}
	return parts
}

// fact is something of a run that stays as it is when it is taken up.
type fact struct{ name, value string }

// facts are those of a run, each in words for people; "" where it is not known.
func (x *Record) facts() []fact {
	var names, nodes, configurations []string
	for _, c := range x.Clusters {
		names, nodes, configurations = append(names, c.in()), append(nodes, c.Nodes), append(configurations, short(c.Configuration))
	}
	return []fact{
		{"suite", x.Suite},
		{"--label-filter", words([]string{x.Filter.Labels})},
		{"--focus", words(x.Filter.Focus)},
		{"--skip", words(x.Filter.Skip)},
		{"--seed", strconv.FormatInt(x.Seed, 10)},
		{"cluster", strings.Join(names, ", ")},
		{"nodes", strings.Join(slices.Compact(nodes), "; ")},
		{"Kubernetes", x.Kubernetes},
		{"configuration", strings.Join(slices.Compact(configurations), ", ")},
	}
}

// short is the beginning of a digest, which is enough to tell two apart.
func short(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }

// words are texts as a user gave them, or "none".
func words(texts []string) string {
	var quoted []string
	for _, text := range texts {
		if text != "" {
			quoted = append(quoted, strconv.Quote(text))
		}
	}
	if len(quoted) == 0 {
		return "none"
	}
	return strings.Join(quoted, ", ")
}

// in says which cluster it is.
func (c recordedCluster) in() string {
	switch {
	case c.Kubeconfig != "":
		return "of " + c.Kubeconfig
	case c.Configuration != "":
		return c.Name + " (made for the run)"
	default:
		return c.Name
	}
}

// recorded is what this run is, as far as it is known.
func (r *run) recorded() (*Record, error) {
	x := &Record{
		Begun: time.Now(), Flags: r.opt.Flags, Suite: r.opt.Suite, Filter: r.opt.Filter,
		Kubernetes: r.version, Seed: r.opt.Seed,
	}
	if strings.ContainsRune(x.Suite, filepath.Separator) || x.Suite == "." {
		var err error
		if x.Suite, err = filepath.Abs(x.Suite); err != nil {
			return nil, fmt.Errorf("finding %s: %w", r.opt.Suite, err)
		}
	}
	var err error
	switch {
	case len(r.opt.Create) > 0:
		x.Kubernetes = r.opt.Create[0].KubernetesVersion
		x.Clusters, err = r.toMake()
	case r.opt.Kubeconfig != "":
		c := recordedCluster{Name: filepath.Base(r.opt.Kubeconfig)}
		c.Kubeconfig, err = filepath.Abs(r.opt.Kubeconfig)
		x.Clusters = []recordedCluster{c}
	case r.opt.Cluster != "":
		x.Clusters = []recordedCluster{{Name: r.opt.Cluster}}
	}
	return x, err
}

// toMake are the clusters that are made for the run.
func (r *run) toMake() ([]recordedCluster, error) {
	var clusters []recordedCluster
	for _, cfg := range r.opt.Create {
		if r.configurations[cfg] == "" {
			text, err := json.Marshal(cfg)
			if err != nil {
				return nil, fmt.Errorf("writing the configuration of cluster %s: %w", cfg.Name, err)
			}
			r.configurations[cfg] = digest(text) // of what was asked for, before an image is chosen
		}
		clusters = append(clusters, recordedCluster{Name: cfg.Name, Nodes: nodesOf(cfg), Configuration: r.configurations[cfg]})
	}
	return clusters, nil
}

func nodesOf(cfg *config.Cluster) string {
	workers := 0
	for _, n := range cfg.Nodes {
		if n.Role == nodespec.RoleWorker {
			workers++
		}
	}
	return count(len(cfg.Nodes)-workers, "control plane") + " and " + count(workers, "worker")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func digest(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// sameRun refuses to take a run up as another.
func (r *run) sameRun(context.Context, status.Step) error {
	if r.record == nil {
		return nil
	}
	if r.opt.Seed == 0 {
		r.opt.Seed = r.record.Seed
	}
	now, err := r.recorded()
	if err != nil {
		return err
	}
	was := r.record.facts()
	for i, is := range now.facts() {
		if is.value != was[i].value && is.value != "" && was[i].value != "" {
			return usageError(fmt.Errorf("the run in %s was begun with %s %s, not %s", r.opt.Dir, is.name, was[i].value, is.value),
				"what a run is stays as it is when it is taken up: leave the flag out, or begin another run in another --report-dir")
		}
	}
	return nil
}

// whatIsLeft ends a run of which nothing is left with the report of its journals:
// its runner was killed before it could write one.
func (r *run) whatIsLeft(context.Context, status.Step) error {
	if r.record == nil {
		return nil
	}
	r.kept = true
	var parts []runner.Part
	for _, p := range r.record.Parts {
		rep, err := runner.Recorded(filepath.Join(r.opt.Dir, p.Dir))
		if err != nil || rep == nil {
			return err
		}
		if s := rep.Summarize(); s.Missing > 0 || r.opt.RerunFailed > 0 && s.Failed > 0 {
			return nil
		}
		part := runner.Part{Report: rep, Dir: p.Dir}
		if len(r.record.Clusters) > 1 {
			part.Cluster = p.Cluster
		}
		parts = append(parts, part)
	}
	if len(parts) > 0 {
		r.Reporter.Note("nothing is left of the run in %s: all of its specs have ended", r.opt.Dir)
		r.report, r.ended = runner.Merge(parts), true
	}
	return nil
}

// deal settles which specs run where, and writes down what the run is. One that is
// taken up keeps its parts; of its clusters some may be new.
func (r *run) deal(context.Context, status.Step) error {
	if r.opt.Seed == 0 {
		r.opt.Seed = time.Now().Unix()
	}
	if err := r.findTimings(); err != nil {
		r.Reporter.Note("how long specs take is not known from earlier runs: %v", err)
	}
	x, err := r.recorded()
	if err != nil {
		return err
	}
	for i, t := range r.clusters {
		x.Clusters[i].CA = digest(t.config.CAData)
	}
	if r.record != nil {
		x.Begun, x.Flags, x.Parts, x.LeftOut = r.record.Begun, r.record.Flags, r.record.Parts, r.record.LeftOut
	} else {
		x.Parts, x.LeftOut = r.dealt(), r.leftOut
	}
	r.record, r.kept = x, true
	return x.write(r.opt.Dir)
}

// dealt spreads every program's specs over the clusters.
func (r *run) dealt() []recordedPart {
	var parts []recordedPart
	for _, p := range r.programs {
		if len(r.clusters) < 2 {
			part := recordedPart{Program: p.name, Dir: p.name, Plan: p.plan}
			for _, t := range r.clusters {
				part.Cluster = t.name
			}
			parts = append(parts, part)
			continue
		}
		shards := p.plan.Shards(slices.Repeat([]int{r.procs()}, len(r.clusters)), r.timings)
		for i, t := range r.clusters {
			parts = append(parts, recordedPart{Program: p.name, Cluster: t.name, Dir: filepath.Join(p.name, t.name), Plan: shards[i], Exact: true})
		}
	}
	return slices.DeleteFunc(parts, func(p recordedPart) bool { return len(p.Plan.Specs) == 0 })
}

// resumable adds to why a run ended before its time how to take it up again.
func (r *run) resumable(err error) error {
	var incomplete *runner.IncompleteError
	switch {
	case err == nil, r.report != nil && !errors.As(err, &incomplete):
		return err // it came to its end
	case !r.kept, r.opt.Certification != nil, len(r.opt.Resumed) == 0, failure.Code(err) == failure.CodeUsage:
		return err
	}
	return failure.With(err, failure.Hint("run what is left: %s", shell.Join(r.opt.Resumed)))
}
