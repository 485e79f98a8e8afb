package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/e2e/suite"
	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
)

func newBundleCmd(a *app) *cobra.Command {
	return newGroupCmd("bundle", "Take clusters to machines without a network", newBundleSaveCmd(a), newBundleLoadCmd(a))
}

// standardStream is the name of a file that is standard input or output.
const standardStream = "-"

// bundleOptions are the flags and argument of "bundle save".
type bundleOptions struct {
	file     string
	versions []string
	runtimes []string
	noE2E    bool
	addons   []string
	output   choice
}

const bundleSaveLong = `Writes FILE with all that another machine needs to make clusters and to run
Kubernetes' smoke and conformance specs: node images, the programs and container
images of the specs, and kluster's own programs. That machine needs a Docker
engine, and no network. What is not built yet is built first.

FILE appears when it is whole. It is a tar archive and an OCI image layout, with
the sha256 of every member in SHA256SUMS. "-" is standard output.

On the other machine:
  tar -xf FILE kluster kluster-node
  ./kluster bundle load FILE`

const bundleSaveExample = `  kluster bundle save kluster.tar
  kluster bundle save all.tar --runtime containerd,cri-dockerd,cri-o
  kluster bundle save old.tar --kubernetes-version v1.36.3,v1.34.4 --no-e2e
  kluster bundle save - | ssh lab 'cat > kluster.tar'`

func newBundleSaveCmd(a *app, runs ...func(context.Context, *app, *bundleOptions) error) *cobra.Command {
	opts, run := &bundleOptions{}, runBundleSave
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "save FILE",
		Short:   "Write all that clusters and specs need into a file",
		Long:    bundleSaveLong,
		Example: bundleSaveExample,
		Args:    oneFile("the file to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.file = args[0]
			if opts.file == standardStream && opts.output.value == formatJSON {
				return usageError(cmd, "-o json prints to standard output, where the bundle goes: give a file")
			}
			return run(cmd.Context(), a, opts)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&opts.versions, "kubernetes-version", nil, "Kubernetes versions (default: the newest that kluster knows)")
	f.StringSliceVar(&opts.runtimes, "runtime", nil, "container runtimes, of "+strings.Join(cri.Names(), ", ")+" (default: "+cri.Default+"): images for clusters of each, and of all together")
	f.StringSliceVar(&opts.addons, "addon", nil, "what this add-on needs too (repeatable)")
	f.BoolVar(&opts.noE2E, "no-e2e", false, "leave out what runs of Kubernetes' specs need")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatText, formatJSON)
	complete(cmd, "kubernetes-version", a.kubernetesVersions)
	complete(cmd, "runtime", a.runtimeNames)
	complete(cmd, "addon", a.addonNames)
	return cmd
}

// oneFile wants the name of a file.
func oneFile(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return usageError(cmd, "%s needs one argument: %s, or - for a pipe", cmd.CommandPath(), what)
		}
		return nil
	}
}

func runBundleSave(ctx context.Context, a *app, opts *bundleOptions) error {
	if opts.file == standardStream && a.printsToTerminal() {
		return badInput("a bundle is not for a terminal: give a file, or send the output to one")
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding kluster's own program: %w", err)
	}
	save := cluster.SaveOptions{
		Kubernetes: opts.versions, Runtimes: opts.runtimes, E2E: !opts.noE2E, Source: suite.SourceFor, Addons: opts.addons,
		Program: self, Version: thisVersion(),
	}
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	if opts.file == standardStream {
		_, err := clusters.SaveBundle(ctx, a.streams.Out, save)
		return err
	}
	var info *cluster.BundleInfo
	err = wholeFile(opts.file, func(w io.Writer) (err error) {
		info, err = clusters.SaveBundle(ctx, w, save)
		return err
	})
	if err != nil {
		return err
	}
	a.close()
	return a.printBundle(opts.output.value, opts.file, info)
}

// thisVersion names this kluster.
func thisVersion() string {
	b := buildInfo{Version: version, Commit: commit}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.complete(info)
	}
	if len(b.Commit) > 12 && !strings.Contains(b.Version, b.Commit[:7]) {
		return b.Version + " " + b.Commit[:12]
	}
	return b.Version
}

// wholeFile has a file written that gets its name when it is whole.
func wholeFile(name string, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return badInput("%s is there, and is no file", name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".")
	if err != nil {
		return failure.With(fmt.Errorf("making %s: %w", name, err), failure.Exit(failure.CodeUsage))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("naming what was written: %w", err)
	}
	return nil
}

const bundleLoadLong = `Brings what "kluster bundle save" wrote into the engine and kluster's cache. The
file is checked first, all of it: nothing is changed by one that is damaged, cut
off, for another architecture, or made by another kluster. From then on "kluster
create" and "kluster e2e run" need no network, no Go and no Debian packages.

A load that was interrupted can be done again; what is there already is kept.
"-" is standard input, of which a copy is made in the cache meanwhile.`

func newBundleLoadCmd(a *app, runs ...func(context.Context, *app, *bundleOptions) error) *cobra.Command {
	opts, run := &bundleOptions{}, runBundleLoad
	if len(runs) > 0 {
		run = runs[0]
	}
	cmd := &cobra.Command{
		Use:     "load FILE",
		Short:   "Bring what was saved into the engine and the cache",
		Long:    bundleLoadLong,
		Example: "  kluster bundle load kluster.tar\n  ssh build cat kluster.tar | kluster bundle load -",
		Args:    oneFile("the bundle"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.file = args[0]
			return run(cmd.Context(), a, opts)
		},
	}
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatText, formatJSON)
	return cmd
}

func runBundleLoad(ctx context.Context, a *app, opts *bundleOptions) error {
	f, err := a.bundleFile(ctx, opts.file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading the bundle: %w", err)
	}
	if info.IsDir() {
		return badInput("%s is a folder", opts.file)
	}
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	loaded, err := clusters.LoadBundle(ctx, f, info.Size(), suite.SourceFor)
	if err != nil {
		return fmt.Errorf("loading %s: %w", opts.file, err)
	}
	a.close()
	return a.printBundle(opts.output.value, opts.file, loaded)
}

// bundleFile opens a bundle. Since all of it is checked before any of it is used, one
// that comes through a pipe is kept in a file that has no name.
func (a *app) bundleFile(ctx context.Context, name string) (*os.File, error) {
	if name != standardStream {
		f, err := os.Open(name)
		if err != nil {
			return nil, badInput("%w", err)
		}
		return f, nil
	}
	dir, err := a.deps.CacheDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the cache folder: %w", err)
	}
	f, err := os.CreateTemp(dir, ".bundle-")
	if err != nil {
		return nil, fmt.Errorf("keeping the bundle: %w", err)
	}
	done := a.reporter().Start("reading the bundle", 0)
	err = errors.Join(os.Remove(f.Name()), copyDuring(ctx, f, a.streams.In))
	done(err)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("keeping the bundle: %w", err)
	}
	return f, nil
}

// copyDuring copies until the end or that of a context, whichever is first.
func copyDuring(ctx context.Context, w io.Writer, r io.Reader) error {
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, r)
		copied <- err
	}()
	select {
	case err := <-copied:
		return err
	case <-ctx.Done():
		return context.Cause(ctx) // the copy ends with its pipe, or with the process
	}
}

// bundleResult is what -o json prints of a bundle.
type bundleResult struct {
	File string `json:"file"`
	*cluster.BundleInfo
}

func (a *app) printBundle(format, file string, info *cluster.BundleInfo) error {
	if format == formatJSON {
		return printJSON(a.streams.Out, bundleResult{file, info})
	}
	what := "node images"
	if info.E2E {
		what += " and specs"
	}
	if len(info.Addons) > 0 {
		what += ", " + strings.Join(info.Addons, ", ")
	}
	_, err := fmt.Fprintf(a.streams.Out, "%s: Kubernetes %s, %s, %s (%d MB)\n", file,
		strings.Join(info.Kubernetes, ", "), strings.Join(info.Runtimes, ", "), what, info.Size/1e6)
	return err
}
