package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/failure"
)

// pruneAfter is how long what is unused is kept.
const pruneAfter = 14 * 24 * time.Hour

// pruneOptions are the flags of "prune".
type pruneOptions struct {
	all, dryRun, yes bool
	output           choice
}

const pruneLong = `Removes what no cluster uses: node images in the engine that this kluster would
not use again, what killed builds have left there, and from the cache what
nothing has used for 14 days. It shows what goes, and asks.

With --all everything goes that no cluster uses: also node images that the next
create would use, the whole cache, and what "kluster bundle load" has brought.
What is gone is built again, or loaded again, when it is needed.

It fails while a build, a create or a run of specs is using the cache.`

func newPruneCmd(a *app) *cobra.Command {
	opts := &pruneOptions{}
	cmd := &cobra.Command{
		Use:     "prune",
		Short:   "Remove images and cached builds that no cluster uses",
		Long:    pruneLong,
		Example: "  kluster prune --dry-run\n  kluster prune\n  kluster prune --all --yes",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runPrune(cmd.Context(), a, opts) },
	}
	f := cmd.Flags()
	f.BoolVar(&opts.all, "all", false, "remove everything that no cluster uses")
	f.BoolVar(&opts.dryRun, "dry-run", false, "only show what would be removed")
	f.BoolVarP(&opts.yes, "yes", "y", false, "do not ask")
	addChoice(cmd, &opts.output, "output", "o", "how to print", formatText, formatJSON)
	return cmd
}

func runPrune(ctx context.Context, a *app, opts *pruneOptions) error {
	if !opts.dryRun && !opts.yes && !a.canAsk() {
		return failure.New("nobody can be asked here whether to remove things", failure.Exit(failure.CodeUsage),
			failure.Hint("add --yes, or --dry-run to see what would be removed"))
	}
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	prune := cluster.PruneOptions{Unused: pruneAfter, DryRun: true}
	if opts.all {
		prune.Unused = 0
	}
	if !opts.yes || opts.dryRun {
		done := a.reporter().Start("looking for what no cluster uses", 0)
		found, err := clusters.Prune(ctx, prune)
		done(err)
		if err != nil || opts.dryRun || len(found.Items) == 0 {
			return a.printPruned(opts.output.value, found, err)
		}
		a.close()
		if err := a.confirm(ctx, found); err != nil {
			return err
		}
		a.begin(ctx)
	}
	prune.DryRun = false
	done := a.reporter().Start("pruning", 0)
	pruned, err := clusters.Prune(ctx, prune)
	done(err)
	return a.printPruned(opts.output.value, pruned, err)
}

// canAsk says whether there is somebody to ask.
func (a *app) canAsk() bool {
	in, ok := a.streams.In.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

// confirm shows what goes and waits for a yes.
func (a *app) confirm(ctx context.Context, found *cluster.Pruned) error {
	fmt.Fprint(a.streams.Err, prunedText(found), "remove these? [y/N] ")
	answers := make(chan string, 1)
	go func() { // ends with the process if nothing is typed
		line, _ := bufio.NewReader(a.streams.In).ReadString('\n') // no answer is a no
		answers <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case answer := <-answers:
		if answer == "y" || answer == "yes" {
			return nil
		}
		return failure.New("nothing was removed")
	}
}

// printPruned prints what went, also beside an error.
func (a *app) printPruned(format string, p *cluster.Pruned, err error) error {
	a.close()
	if p == nil || err != nil && len(p.Items) == 0 {
		return err
	}
	if format == formatJSON {
		return errors.Join(err, printJSON(a.streams.Out, p))
	}
	_, printErr := io.WriteString(a.streams.Out, prunedText(p))
	return errors.Join(err, printErr)
}

// prunedText is a line for each node image and the rest by kind, and a sum.
func prunedText(p *cluster.Pruned) string {
	type sum struct {
		items int
		bytes int64
	}
	var text strings.Builder
	var kinds []string
	sums := map[string]*sum{}
	for _, item := range p.Items {
		if item.Kind == cluster.PrunedImage {
			fmt.Fprintf(&text, "%s %s (%d MB with the layers that it shares)\n", item.Kind, item.Name, item.Bytes/1e6)
			continue
		}
		if sums[item.Kind] == nil {
			sums[item.Kind] = &sum{}
			kinds = append(kinds, item.Kind)
		}
		sums[item.Kind].items++
		sums[item.Kind].bytes += item.Bytes
	}
	for _, kind := range kinds {
		fmt.Fprintf(&text, "%s: %d, %d MB\n", kind, sums[kind].items, sums[kind].bytes/1e6)
	}
	verb := "freed"
	if p.DryRun {
		verb = "to be freed"
	}
	fmt.Fprintf(&text, "%s: %d MB of the cache, and what the engine no longer shares\n", verb, p.CacheBytes/1e6)
	return text.String()
}
