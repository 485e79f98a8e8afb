package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/preflight"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// target is a cluster that specs run on.
type target struct {
	name       string
	kubeconfig string // absolute path
	config     *rest.Config
	facts      report.Cluster // once it was looked at
	// exec reaches into the nodes of kluster's own clusters, nil for others.
	exec func(ctx context.Context, node string, argv []string, stdout io.Writer) error
}

// createWait bounds the making of a cluster for a run: several may be made at
// once, on a machine that has just compiled their programs.
const createWait = 10 * time.Minute

// findVersion finds the version of Kubernetes to build the suite's programs for:
// the cluster's own.
func (r *run) findVersion(ctx context.Context, _ status.Step) error {
	switch {
	case r.suite.MakesClusters:
		return nil
	case len(r.opt.Create) > 0:
		r.version = r.opt.Create[0].KubernetesVersion
		return nil
	}
	t, err := r.existing(ctx)
	if err != nil {
		return err
	}
	r.clusters = []*target{t}
	server, err := serverVersion(ctx, t)
	if err == nil {
		r.version, err = r.suiteVersion(t, server)
	}
	return err
}

// releaseOf is a version without what a distribution or a vendor adds to it.
var releaseOf = regexp.MustCompile(`^v\d+\.\d+\.\d+`)

// suiteVersion is that of Kubernetes' specs for an API server: its own, or where
// there are none another of the same minor version.
func (r *run) suiteVersion(t *target, server string) (string, error) {
	if r.suite.Program == plan.Package {
		return server, nil
	}
	catalog, err := nodeimage.LoadCatalog()
	if err != nil {
		return "", err
	}
	known, release := catalog.Versions(), releaseOf.FindString(server)
	if slices.Contains(known, release) {
		return release, nil
	}
	for _, other := range known {
		if semver.MajorMinor(other) == semver.MajorMinor(release) {
			return other, nil
		}
	}
	return "", failure.New(fmt.Sprintf("cluster %s is of Kubernetes %s, of which there are no specs here", t.name, server), failure.Exit(failure.CodeHost),
		failure.Hint("use a cluster of one of these minor versions: %s", strings.Join(known, ", ")))
}

// serverTime bounds the first question to a cluster.
const serverTime = 15 * time.Second

func serverVersion(ctx context.Context, t *target) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, serverTime, fmt.Errorf("no answer within %s", serverTime))
	defer cancel()
	version, err := preflight.Version(ctx, t.config)
	if err != nil {
		return "", failure.With(fmt.Errorf("asking cluster %s for its version: %w", t.name, err), failure.Exit(failure.CodeHost),
			failure.Hint("see that it runs and answers: kubectl --kubeconfig %s get --raw /readyz", t.kubeconfig))
	}
	return version, nil
}

// existing is the cluster that is there already.
func (r *run) existing(ctx context.Context) (*target, error) {
	if r.opt.Kubeconfig == "" {
		return r.own(ctx, r.opt.Cluster)
	}
	path, err := filepath.Abs(r.opt.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", r.opt.Kubeconfig, err)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, usageError(fmt.Errorf("--kubeconfig: %w", err), "give the file of a cluster that runs, or leave it out for kluster's own")
	}
	return load(&target{name: filepath.Base(path), kubeconfig: path})
}

// own is one of kluster's clusters, with a kubeconfig of the run's own.
func (r *run) own(ctx context.Context, name string) (*target, error) {
	text, err := r.Clusters.Kubeconfig(ctx, name, false)
	if err != nil {
		return nil, err
	}
	dir, err := r.tempDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("writing the kubeconfig: %w", err)
	}
	t, err := load(&target{name: name, kubeconfig: path})
	if err != nil {
		return nil, err
	}
	t.exec = func(ctx context.Context, node string, argv []string, stdout io.Writer) error {
		return r.Clusters.Exec(ctx, name, node, provider.Command{Args: argv, Stdout: stdout})
	}
	return t, nil
}

func load(t *target) (*target, error) {
	config, err := clientcmd.BuildConfigFromFlags("", t.kubeconfig)
	if err != nil {
		return nil, usageError(fmt.Errorf("kubeconfig %s: %w", t.kubeconfig, err), "it must be a kubeconfig with a current context")
	}
	t.config = config
	return t, nil
}

// makeClusters makes the clusters that are for this run alone. Those that came to
// be are deleted at its end.
func (r *run) makeClusters(ctx context.Context, _ status.Step) error {
	if len(r.opt.Create) == 0 {
		return nil
	}
	dir, err := r.tempDir()
	if err != nil {
		return err
	}
	// The user's kubeconfig is left alone: nobody else will use these clusters.
	kubeconfig := filepath.Join(dir, "config")
	// One after the other: each takes all processors there are.
	for i, cfg := range r.opt.Create {
		if err := r.removeLeft(ctx, i, kubeconfig); err != nil {
			return err
		}
		if cfg.Image, err = r.imageOf(ctx, cfg); err != nil {
			return err
		}
		r.later(r.nameWhenKilled(cfg.Name))
		// A create that fails removes what it has made; the name may be another's.
		if _, err := r.Clusters.Create(ctx, cluster.CreateOptions{Config: cfg, Wait: createWait, Kubeconfig: kubeconfig}); err != nil {
			return err
		}
		r.later(func() { r.remove(context.WithoutCancel(ctx), cfg.Name, kubeconfig) })
		t, err := r.own(ctx, cfg.Name)
		if err != nil {
			return err
		}
		r.clusters = append(r.clusters, t)
	}
	return nil
}

// removeLeft removes the cluster that is left of a run that was killed, if it is that
// one: the name may be another's by now.
func (r *run) removeLeft(ctx context.Context, i int, kubeconfig string) error {
	if r.record == nil || r.record.Clusters[i].CA == "" {
		return nil
	}
	name := r.record.Clusters[i].Name
	t, err := r.own(ctx, name)
	if err != nil || digest(t.config.CAData) != r.record.Clusters[i].CA {
		return nil //nolint:nilerr // there is none, or create says what is in its way
	}
	step := r.Reporter.Step("removing what is left of cluster "+name, 0)
	_, err = r.Clusters.Delete(ctx, name, kubeconfig)
	step.End(err)
	return err
}

// imageOf is the node image for a cluster: where specs of Kubernetes' own run, one
// with their container images in the layers that all nodes share.
func (r *run) imageOf(ctx context.Context, cfg *config.Cluster) (string, error) {
	if r.suite.Program == plan.Package || cfg.Image != "" {
		return cfg.Image, nil
	}
	runtimes := cfg.Runtimes()
	for _, other := range r.opt.ImageRuntimes {
		if !slices.Contains(runtimes, other) {
			runtimes = append(runtimes, other)
		}
	}
	conformance := r.suite.Program != plan.CRI // which pulls all that it starts
	image, err := r.Clusters.BuildImage(ctx, nodeimage.Spec{Kubernetes: r.version, Runtimes: runtimes, Source: r.opt.Source, Conformance: conformance})
	return image.Ref, err
}

// tempDir is a folder that is gone after the run.
func (r *run) tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "kluster-e2e-")
	if err != nil {
		return "", fmt.Errorf("making a folder for the run: %w", err)
	}
	r.later(func() { os.RemoveAll(dir) })
	return dir, nil
}

// removeTime bounds the removal of a cluster at the end.
const removeTime = time.Minute

func (r *run) remove(ctx context.Context, name, kubeconfig string) {
	ctx, cancel := context.WithTimeout(ctx, removeTime)
	defer cancel()
	step := r.Reporter.Step("removing cluster "+name, 0)
	_, err := r.Clusters.Delete(ctx, name, kubeconfig)
	step.End(err)
	if err != nil {
		r.Reporter.Note("cluster %q was made for this run and could not be removed (%v); try: kluster delete %s", name, err, name)
	}
}

// usageError is a mistake of the command line.
func usageError(err error, hint string) error {
	return failure.With(err, failure.Exit(failure.CodeUsage), failure.Hint("%s", hint))
}
