package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/logs"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// evidenceTime bounds the collection of logs: a node that is sick may not answer.
const evidenceTime = 30 * time.Second

// evidenceForm ends the name of a folder with logs: when its create began.
const evidenceForm = "20060102T150405"

// evidenceKept is how many such folders are kept, the newest.
const evidenceKept = 10

// withEvidence puts the nodes' logs into a folder before they go, and names it
// in the error.
func (c *creation) withEvidence(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, evidenceTime)
	defer cancel()
	nodes, lerr := c.m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCreation: c.id})
	if lerr != nil || len(nodes) == 0 {
		return err
	}
	all := filepath.Join(c.m.cacheDir, "logs")
	dir := filepath.Join(all, c.cfg.Name+"-"+c.began.UTC().Format(evidenceForm))
	done := c.m.reporter.Start("collecting logs", 0)
	lerr = logs.Collect(ctx, c.m.provider, nodes, dir)
	done(nil)
	if lerr != nil {
		c.m.reporter.Note("some logs could not be had: %v", fmt.Errorf("collecting logs: %w", lerr))
	}
	if perr := pruneEvidence(all); perr != nil {
		c.m.reporter.Note("%v", perr)
	}
	return failure.With(err, failure.Log(dir))
}

// pruneEvidence removes the folders of all but the newest failed creates.
func pruneEvidence(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking for old logs: %w", err)
	}
	began := map[string]time.Time{} // by the folder's name
	for _, e := range entries {
		end := e.Name()[strings.LastIndex(e.Name(), "-")+1:]
		if at, err := time.Parse(evidenceForm, end); err == nil && e.IsDir() {
			began[e.Name()] = at
		}
	}
	oldest := slices.SortedFunc(maps.Keys(began), func(a, b string) int { return began[a].Compare(began[b]) })
	var errs []error
	for _, name := range oldest[:max(0, len(oldest)-evidenceKept)] {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing old logs: %w", err)
	}
	return nil
}
