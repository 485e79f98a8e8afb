// Command kluster-bench measures kluster, and kind beside it; see docs/bench.md
// and "make bench".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/bench"
	"github.com/kluster-project/kluster/internal/bench/engine"
	"github.com/kluster-project/kluster/internal/cli"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
)

// flags are the program's.
type flags struct {
	kluster, addWorker         string
	kind, kindImage, kindProbe string
	only, json, doc, from      string
	runtimes, oci, image       string
	loads                      string
	layerMB                    int
	amounts                    bench.Amounts
	rounds                     int
	idle, timeout              time.Duration
}

func parse(args []string) (flags, error) {
	f := flags{}
	set := flag.NewFlagSet("kluster-bench", flag.ContinueOnError)
	set.StringVar(&f.only, "only", "", "what to measure, of floor,1,1+2,3,3+3 (default: all)")
	set.IntVar(&f.rounds, "n", 3, "how many times to measure each")
	set.DurationVar(&f.idle, "idle", 30*time.Second, "how long a cluster idles before its memory is read")
	set.DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long one create, or another step on a cluster, may take")
	set.StringVar(&f.kluster, "kluster", "bin/kluster", "the kluster `PROGRAM`")
	set.StringVar(&f.addWorker, "add-worker", "", "`WORDS` of the verb that adds a worker to cluster NAME")
	set.StringVar(&f.kind, "kind", "", "a kind `PROGRAM` to measure too")
	set.StringVar(&f.kindImage, "kind-image", "", "kind's node `IMAGE`, of the same Kubernetes version")
	set.StringVar(&f.kindProbe, "kind-probe", "", "an `IMAGE` inside kind's node image that can resolve names (default: one that a node reports)")
	set.StringVar(&f.runtimes, "runtimes", "", "measure container runtimes instead: those of the `LIST` "+strings.Join(cri.Names(), ",")+", or all")
	set.StringVar(&f.oci, "oci-runtimes", "", "with the OCI runtimes of the `LIST` "+strings.Join(cri.OCINames(), ",")+" each (default: all)")
	set.StringVar(&f.image, "image", "", "node `IMAGE` that holds them all (default: the one that kluster takes for each)")
	set.IntVar(&f.amounts.Sequence, "starts", 10, "of each pair: how many pods start one after the other")
	set.IntVar(&f.amounts.Burst, "burst", 20, "of each pair: how many pods start at once")
	set.IntVar(&f.amounts.Idle, "idle-pods", 30, "of each pair: how many pods idle while memory is read")
	set.IntVar(&f.amounts.ArchiveMB, "import", 200, "of each pair: size in `MB` of the image that is imported")
	set.StringVar(&f.loads, "load", "", "measure loads of an image into three nodes instead: with those of the `LIST` "+strings.Join(cri.Names(), ",")+", or all")
	set.IntVar(&f.layerMB, "layer", 80, "of each load: size in `MB` of each of the image's five large layers")
	set.StringVar(&f.json, "json", "", "`FILE` to write everything measured to")
	set.StringVar(&f.doc, "doc", "", "`FILE` with the marks that the table is written between")
	set.StringVar(&f.from, "from", "", "measure nothing: `FILE` of an earlier run to make the table of")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	switch {
	case set.NArg() > 0:
		return f, fmt.Errorf("unknown argument %q", set.Arg(0))
	case f.rounds < 1:
		return f, errors.New("-n must be at least 1")
	case (f.kind == "") != (f.kindImage == ""):
		return f, errors.New("-kind and -kind-image go together")
	case f.runtimes == "" && f.oci != "":
		return f, errors.New("-oci-runtimes is for -runtimes")
	case f.runtimes+f.loads == "" && f.image != "":
		return f, errors.New("-image is for -runtimes and -load")
	case f.runtimes+f.loads != "" && f.only+f.kind+f.addWorker != "" || f.runtimes != "" && f.loads != "":
		return f, errors.New("-runtimes and -load measure nothing else: give one of them, and leave out -only, -kind and -add-worker")
	}
	if err := f.amounts.Check(); err != nil {
		return f, err
	}
	return f, nil
}

func main() {
	f, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(failure.CodeUsage)
	}
	ctx, stop := cli.Interruptible(context.Background(), os.Stderr, os.Exit)
	err = run(ctx, f)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		if errors.Is(err, failure.ErrInterrupted) {
			os.Exit(failure.CodeInterrupted)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	if f.from != "" {
		report, err := bench.ReadReport(f.from)
		if err != nil {
			return err
		}
		return publish(report, f)
	}
	report, err := measure(ctx, f)
	if report == nil {
		return err
	}
	// What was measured until an error is worth its table too.
	return errors.Join(err, publish(report, f), report.Failed())
}

// publish prints the table, and writes the files that were asked for.
func publish(report *bench.Report, f flags) error {
	report.Summarize()
	_, err := fmt.Print(report.Table())
	if f.json != "" {
		err = errors.Join(err, report.Write(f.json))
	}
	if f.doc != "" {
		err = errors.Join(err, report.WriteDoc(f.doc))
	}
	return err
}

func measure(ctx context.Context, f flags) (*bench.Report, error) {
	cases, err := bench.ParseOnly(f.only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	pairs, err := bench.ParsePairs(f.runtimes, f.oci)
	if err != nil {
		return nil, fmt.Errorf("-runtimes and -oci-runtimes: %w", err)
	}
	if f.loads != "" {
		if pairs, err = bench.ParsePairs(f.loads, cri.OCINames()[0]); err != nil {
			return nil, fmt.Errorf("-load: %w", err)
		}
	}
	e, err := engine.New(ctx)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	// Every tool talks to the engine that the bench looks at.
	env := []string{"DOCKER_HOST=" + e.Host()}
	wanted := bench.Wanted{
		Kluster: f.kluster, AddWorker: f.addWorker, Kind: f.kind, KindImage: f.kindImage, KindProbe: f.kindProbe, Env: env, Talk: os.Stderr,
	}
	opt := bench.Options{
		Cases: cases, Rounds: f.rounds, Idle: f.idle, Timeout: f.timeout, Amounts: f.amounts, Env: env, Talk: os.Stderr,
	}
	if f.runtimes+f.loads != "" {
		report, tools, err := bench.PrepareRuntimes(ctx, e, bench.Exec, wanted, pairs, f.image)
		switch {
		case err != nil:
			return nil, err
		case f.loads != "":
			return report, bench.RunLoads(ctx, e, tools, f.layerMB, opt, report)
		}
		return report, bench.RunRuntimes(ctx, e, tools, opt, report)
	}
	report, tools, err := bench.Prepare(ctx, e, bench.Exec, wanted)
	if err != nil {
		return nil, err
	}
	return report, bench.Run(ctx, e, tools, opt, report)
}
