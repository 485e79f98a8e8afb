package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/cri"
)

// runtimeRun is a run that measures container runtimes.
type runtimeRun struct {
	*run
	tools []RuntimeTool
	// archive is the file with the image to import.
	archive string
}

// RunRuntimes measures every pair on a cluster of one node that is made for it,
// all in turns, and adds what it measured to the report of PrepareRuntimes. The
// report is good for as far as the run came, also with an error.
func RunRuntimes(ctx context.Context, engine Engine, tools []RuntimeTool, opt Options, report *Report) error {
	if err := opt.Amounts.Check(); err != nil {
		return err
	}
	r := &runtimeRun{run: newRun(engine, opt, report), tools: tools}
	report.Settings.Rounds, report.Settings.IdleSeconds = opt.Rounds, opt.Idle.Seconds()
	report.Settings.Runtimes.Amounts = opt.Amounts
	return r.prepared(ctx, func(ctx context.Context) (err error) {
		r.archive = filepath.Join(r.temp, "image.tar")
		if report.Settings.Runtimes.ArchiveBytes, err = importArchive(opt.Amounts.ArchiveMB).writeFile(r.archive); err != nil {
			return err
		}
		return r.rounds(ctx)
	})
}

// rounds goes over all pairs again and again, with the floor before every cluster.
func (r *runtimeRun) rounds(ctx context.Context) error {
	for round := 1; round <= r.opt.Rounds; round++ {
		for _, t := range r.tools {
			r.measureFloor(ctx, round)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			s := r.measure(ctx, t, round)
			r.report.Runtimes = append(r.report.Runtimes, s)
			r.say("round %d of %d, %s: %s", round, r.opt.Rounds, t.Pair, s.told())
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return context.Cause(ctx)
}

// told is the sample for people who wait.
func (s RuntimeSample) told() string {
	if s.Error != "" {
		return "failed: " + oneLine(s.Error)
	}
	var told []string
	for _, c := range runtimeColumns {
		if c.unit != Ratio {
			told = append(told, c.name+" "+SpreadOf(c.of(s)).text(c.unit))
		}
	}
	return strings.Join(told, ", ")
}

// pairCluster is the cluster of one pair that is being measured.
type pairCluster struct {
	*cluster
	pair    RuntimeTool
	archive string
	client  kubernetes.Interface
	// node is the name of the only node.
	node string
}

// measure makes a cluster of one node, measures what its container runtime does
// and deletes it. Whatever happens, nothing of it stays.
func (r *runtimeRun) measure(ctx context.Context, t RuntimeTool, round int) RuntimeSample {
	c := r.newCluster(t.Tool, oneNode, t.Pair.cluster())
	p := &pairCluster{cluster: c, pair: t, archive: r.archive}
	s := RuntimeSample{Pair: t.Pair, Sample: c.newSample(round)}
	c.live(ctx, &s.Sample, func() error { return p.work(ctx, &s) })
	return s
}

// oneNode is the shape of every cluster whose container runtime is measured.
var oneNode = Cases[0]

// work goes through all that is measured on the cluster, from what disturbs the
// rest least to what disturbs it most.
func (p *pairCluster) work(ctx context.Context, s *RuntimeSample) error {
	for _, step := range []struct {
		what string
		do   func(context.Context, *RuntimeSample) error
	}{
		{"looking at the node", p.meet},
		{"waiting until the cluster idles", p.rest},
		{"starting pods one after the other", p.startInTurn},
		{"starting pods at once", p.startAtOnce},
		{"weighing idle pods", p.weighPods},
		{"waiting until the cluster idles", p.rest},
		{"importing an image", p.importImage},
	} {
		if err := step.do(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// meet connects to the cluster and sees that its node runs what was asked for.
func (p *pairCluster) meet(ctx context.Context, s *RuntimeSample) error {
	ctx, cancel := context.WithTimeout(ctx, p.opt.Timeout)
	defer cancel()
	client, err := p.observer().reach(ctx)
	if err != nil {
		return err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	if len(nodes.Items) != 1 {
		return fmt.Errorf("the cluster has %d nodes, want 1", len(nodes.Items))
	}
	node := nodes.Items[0]
	p.client, p.node = client, node.Name
	s.Reported = node.Status.NodeInfo.ContainerRuntimeVersion
	if got, known := cri.Reported(s.Reported); !known || got.Name != p.pair.Pair.Runtime {
		return fmt.Errorf("the node runs %q, which is not %s", s.Reported, p.pair.Pair.Runtime)
	}
	return nil
}
