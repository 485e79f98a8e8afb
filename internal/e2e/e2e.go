// Package e2e runs suites on clusters: it makes a suite's programs and clusters,
// sees that they are fit for it, runs it, and writes the reports. The packages
// below e2e/ each know one part of that and nothing of how clusters are made;
// here they meet.
package e2e

import (
	"context"
	"time"

	"github.com/kluster-project/kluster/e2e/expect"
	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// Clusters is what runs need of cluster.Manager.
type Clusters interface {
	Create(ctx context.Context, opt cluster.CreateOptions) (*cluster.Summary, error)
	Delete(ctx context.Context, name, kubeconfig string) (existed bool, err error)
	Nodes(ctx context.Context, name string) ([]cluster.NodeInfo, error)
	Kubeconfig(ctx context.Context, name string, internal bool) ([]byte, error)
	Exec(ctx context.Context, name, node string, cmd provider.Command) error
	BuildImage(ctx context.Context, spec nodeimage.Spec) (cluster.ImageInfo, error)
	// PrepareConformance puts the images of conformance specs, and a registry for
	// those that are pulled, into a cluster.
	PrepareConformance(ctx context.Context, name string) error
	// ConformanceImages lists those that a cluster's nodes hold.
	ConformanceImages(ctx context.Context, name string) ([]cluster.PlacedImage, error)
	// PrepareCRI makes the nodes of a cluster of no use but for cri-tools' specs, with
	// the images that these pull, and lists the images.
	PrepareCRI(ctx context.Context, name string) ([]cluster.PlacedImage, error)
}

// Options of a run.
type Options struct {
	// Suite is a name of the table of suites, or the folder of a Go package.
	Suite  string
	Filter report.Filter
	// Dir is the folder of the report; made if need be.
	Dir string
	Target
	Procs       int // parallel processes of each cluster; 0 for what the machine carries
	Seed        int64
	Timeout     time.Duration // of all specs, those that are run again too; 0 for a day
	RerunFailed int
	// KeepNamespaces leaves those of failed specs in the cluster.
	KeepNamespaces bool
	// Resume takes up the run in Dir as it was recorded there: the options must say
	// the same, but for Seed, which may be 0.
	Resume bool
	// Flags are those of the user's command line, by name, for the record of the run.
	Flags map[string][]string
	// Resumed is the user's command that takes the run up again.
	Resumed []string
	// Source of the suite's programs, as for node images: "" for modules.
	Source string
	// Command is the user's own, to be repeated in what tells how to run one spec
	// again: "kluster e2e run --cluster c".
	Command []string
	// Show shows specs while they run, given how long they are known to take; nil
	// for nobody who looks.
	Show func(seconds map[string]float64) Shown
	// ImageRuntimes are container runtimes that the node image made for the run holds
	// beside those of its clusters, so that runs which are compared share one.
	ImageRuntimes []string
	// Expectations are the failures that are known, which the report is held against;
	// nil for none.
	Expectations *expect.Table
	// Certification, if not nil, is to be the outcome.
	Certification *Certification
	// Kill ends the suite at once when it is closed.
	Kill <-chan struct{}
}

// Shown is what shows specs.
type Shown interface {
	runner.Watch
	Close()
}

// Target is where a suite runs: exactly one of the three.
type Target struct {
	Cluster    string // a cluster of kluster's
	Kubeconfig string // a file, of any cluster
	// Create are clusters to make for the run and to delete after it.
	Create []*config.Cluster
}

// Runner runs suites.
type Runner struct {
	Clusters Clusters
	Reporter status.Reporter
	CacheDir string
	// Binary is kluster's own program, for its own specs.
	Binary string
	// LostAfter is how long the API of a cluster may stay away before the run on it
	// ends; 0 for five minutes.
	LostAfter time.Duration
}

// Planned is what a run would do.
type Planned struct {
	Suite  plan.Suite
	Filter report.Filter
	Specs  []runner.Spec
	// All are the names of all specs of the programs, whatever the filter.
	All []string
	// LeftOut are specs of the suite that cannot run here.
	LeftOut  []report.Spec
	Estimate time.Duration // 0 if nobody knows

	expected *expect.Table // what a matrix's Expectations are for its suite
}
