package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cri"
	nodeimage "github.com/kluster-project/kluster/node-image"
)

func newBuildCmd(a *app) *cobra.Command {
	return newGroupCmd("build", "Build what clusters are made of", newBuildNodeImageCmd(a))
}

// buildNodeImageOptions are the flags of "build node-image".
type buildNodeImageOptions struct {
	version     string
	runtimes    []string
	conformance bool
	source      string
	components  []string
	output      choice
}

const buildNodeImageLong = `Builds the image that nodes are made from, and prints its name.

What was built before is taken from a cache, so that a second build takes
seconds and a changed component costs only itself. Programs come from Go
modules, built here (--source modules), from published binaries (--source
release), or from a Kubernetes checkout (--source DIR); all are pinned and
verified.`

const buildNodeImageExample = `  kluster build node-image
  kluster build node-image --kubernetes-version v1.35.4
  kluster build node-image --runtime containerd,cri-dockerd,cri-o
  kluster build node-image --conformance
  kluster build node-image --source ~/go/src/k8s.io/kubernetes
  kluster build node-image --component kubelet=_output/bin/kubelet`

func newBuildNodeImageCmd(a *app, runs ...func(context.Context, *app, *buildNodeImageOptions) error) *cobra.Command {
	opts, run := &buildNodeImageOptions{}, runBuildNodeImage
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "node-image",
		Aliases: []string{"image"},
		Short:   "Build a node image",
		Long:    buildNodeImageLong,
		Example: buildNodeImageExample,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), a, opts) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.version, "kubernetes-version", "", "Kubernetes version (default: the newest that kluster knows)")
	f.StringSliceVar(&opts.runtimes, "runtime", nil, "container runtimes to put in, of "+strings.Join(cri.Names(), ", ")+" (default: "+cri.Default+")")
	f.BoolVar(&opts.conformance, "conformance", false, "put in the container images of Kubernetes' conformance tests too")
	f.StringVar(&opts.source, "source", nodeimage.SourceModules, "where programs come from: modules, release, or a Kubernetes checkout")
	f.StringArrayVar(&opts.components, "component", nil, "put in a locally built program, as `NAME=PATH` (repeatable)")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatName, formatJSON)
	complete(cmd, "kubernetes-version", a.kubernetesVersions)
	complete(cmd, "runtime", a.runtimeNames)
	complete(cmd, "source", cobra.FixedCompletions([]string{nodeimage.SourceModules, nodeimage.SourceRelease}, cobra.ShellCompDirectiveDefault))
	return cmd
}

func runBuildNodeImage(ctx context.Context, a *app, opts *buildNodeImageOptions) error {
	spec, err := opts.spec()
	if err != nil {
		return err
	}
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	image, err := clusters.BuildImage(ctx, spec)
	if err != nil {
		return err
	}
	a.close()
	if opts.output.value == formatJSON {
		return printJSON(a.streams.Out, image)
	}
	_, err = fmt.Fprintln(a.streams.Out, image.Ref)
	return err
}

func (o *buildNodeImageOptions) spec() (nodeimage.Spec, error) {
	spec := nodeimage.Spec{Kubernetes: o.version, Runtimes: o.runtimes, Source: o.source, Conformance: o.conformance}
	if o.source != nodeimage.SourceModules && o.source != nodeimage.SourceRelease {
		dir, err := checkout(o.source)
		if err != nil {
			return nodeimage.Spec{}, err
		}
		spec.Source, spec.Checkout = nodeimage.SourceModules, dir
	}
	var err error
	spec.Overrides, err = overrides(o.components)
	return spec, err
}

// overrides reads NAME=PATH pairs, whose paths must be files.
func overrides(components []string) (map[string]string, error) {
	paths := map[string]string{}
	for _, c := range components {
		name, path, ok := strings.Cut(c, "=")
		if !ok || name == "" || path == "" {
			return nil, badInput("--component %q: must be NAME=PATH", c)
		}
		if _, ok := paths[name]; ok {
			return nil, badInput("--component %s: given twice", name)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, badInput("--component %s: %w", name, err)
		}
		if !info.Mode().IsRegular() {
			return nil, badInput("--component %s: %s is not a file", name, path)
		}
		paths[name] = path
	}
	return paths, nil
}

// checkout is the absolute path of a folder with Kubernetes' source.
func checkout(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "cmd", "kubeadm")); err != nil {
		return "", badInput("--source %q: must be modules, release, or a folder with a Kubernetes checkout", dir)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the checkout: %w", err)
	}
	return abs, nil
}
