package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/e2e/suite"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
)

// program is what runs specs of a suite, with those that are planned.
type program struct {
	runner.Program
	name string // of its folder in the report, "" for the only one
	plan runner.Plan
}

// binaryEnv tells kluster's own specs which kluster to test.
const binaryEnv = "KLUSTER_BIN"

// Parts of a suite that the catalog names.
const (
	partGinkgo  = "ginkgo"
	partKubectl = "kubectl"
)

// makePrograms compiles what the suite's specs are in, or finds it in the cache.
func (r *run) makePrograms(ctx context.Context, shown status.Step) error {
	switch r.suite.Program {
	case plan.CRI:
		return r.makeCRI(ctx, shown)
	case plan.Own, plan.Stock:
		return r.makeKubernetes(ctx, shown)
	case plan.Package:
	}
	for _, folder := range r.suite.Packages {
		if err := r.compile(ctx, folder, shown); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) makeKubernetes(ctx context.Context, shown status.Step) error {
	release, err := nodeimage.UseCache(ctx, r.CacheDir)
	if err != nil {
		return err
	}
	r.later(release)
	built, err := nodeimage.BuildSuite(ctx,
		nodeimage.SuiteSpec{Kubernetes: r.version, Source: r.opt.Source, Main: suite.SourceFor(r.version)},
		nodeimage.Options{CacheDir: r.CacheDir, Progress: shown})
	if err != nil {
		return err
	}
	for _, p := range built.Parts {
		if r.used(p) {
			r.parts = append(r.parts, partOf(p))
		}
	}
	list, err := os.ReadFile(filepath.Join(built.Dir, nodeimage.PartSpecs))
	if err != nil {
		return fmt.Errorf("reading the list of conformance specs: %w", err)
	}
	if r.list, err = plan.ParseConformance(list); err != nil {
		return err
	}
	tmp, err := r.tempDir()
	if err != nil {
		return err
	}
	r.programs = []program{{Program: runner.Program{
		Path: filepath.Join(built.Dir, kubernetesPrograms[r.suite.Program]), Ginkgo: filepath.Join(built.Dir, partGinkgo),
		Args: r.kubernetesArgs(built.Dir),
		Env:  []string{"TMPDIR=" + tmp}, // each process leaves files there
	}}}
	return nil
}

// kubernetesPrograms are the files of the programs with Kubernetes' specs.
var kubernetesPrograms = map[plan.Program]string{plan.Own: nodeimage.PartMain, plan.Stock: nodeimage.PartTests}

// kubernetesArgs are the flags of Kubernetes' e2e programs. Skeleton is the
// provider that knows of no cloud; the framework's own dump of logs is left out,
// since evidence is collected while there is something to see.
func (r *run) kubernetesArgs(parts string) []string {
	args := []string{"--provider=skeleton", "--disable-log-dump", "--kubectl-path=" + filepath.Join(parts, partKubectl)}
	if r.opt.KeepNamespaces {
		args = append(args, "--delete-namespace-on-failure=false")
	}
	return args
}

// compile compiles the specs of a Go package, and where several processes will run
// them ginkgo's own command line, in the version that the package's module has.
func (r *run) compile(ctx context.Context, folder string, shown status.Step) error {
	shown.Detail(folder)
	dir, err := r.tempDir()
	if err != nil {
		return err
	}
	in, err := filepath.Abs(folder)
	if err != nil {
		return fmt.Errorf("finding %s: %w", folder, err)
	}
	p := program{name: filepath.Base(in), Program: runner.Program{
		Path: filepath.Join(dir, "suite.test"), Ginkgo: filepath.Join(dir, "ginkgo"), WorkDir: in,
	}}
	if len(r.suite.Packages) == 1 {
		p.name = ""
	}
	if r.suite.MakesClusters {
		if _, err := os.Stat(in); err != nil {
			return usageError(fmt.Errorf("suite %s: %w", r.suite.Name, err), "run it in a checkout of kluster's source")
		}
		env, err := r.suite.Handover("", report.Cluster{})
		if err != nil {
			return err
		}
		p.Env = append(env, binaryEnv+"="+r.Binary)
	}
	if err := goRun(ctx, in, "test", "-c", "-o", p.Path, "."); err != nil {
		return err
	}
	if r.opt.Procs > 1 {
		if err := goRun(ctx, in, "build", "-o", p.Ginkgo, "github.com/onsi/ginkgo/v2/ginkgo"); err != nil {
			return err
		}
	}
	r.programs = append(r.programs, p)
	return nil
}

func goRun(ctx context.Context, dir string, args ...string) error {
	cmd := runner.Together(exec.CommandContext(ctx, "go", args...))
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("go %s in %s: %w\n%s", args[0], dir, err, strings.TrimSpace(out.String()))
	}
	return nil
}
