package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/inventory"
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

// withEvidence exports the logs of the nodes before they go, names the folder in the
// error, and says what is likely wrong.
func (c *creation) withEvidence(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, evidenceTime, fmt.Errorf("not within %s", evidenceTime))
	defer cancel()
	nodes, lerr := c.m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCreation: c.id})
	if lerr != nil || len(nodes) == 0 {
		return err
	}
	all := filepath.Join(c.m.cacheDir, "logs")
	dir := filepath.Join(all, c.cfg.Name+"-"+c.began.UTC().Format(evidenceForm))
	done := c.m.reporter.Start("collecting logs", 0)
	opt := logs.Options{Cluster: c.cfg.Name, Provider: c.m.provider, Machines: c.m.logMachines(ctx, nodes), Dir: dir}
	if c.client != nil {
		opt.API = &inventory.API{Client: c.client, Dynamic: c.dynamic}
	}
	s, lerr := logs.Export(ctx, opt)
	done(nil)
	if lerr != nil {
		c.m.reporter.Note("some logs could not be had: %v", lerr)
	}
	if perr := pruneEvidence(all); perr != nil {
		c.m.reporter.Note("%v", perr)
	}
	if s == nil {
		return err
	}
	told := []failure.Option{failure.Log(dir)}
	if len(s.Causes) > 0 && !errors.Is(err, provider.ErrNoSpace) { // a full disk is the cause of many
		told = append(told, failure.Hint("likely cause: %s", s.Causes[0].Said()))
	}
	return failure.With(err, told...)
}

// failedCreate is a folder with the logs of one.
type failedCreate struct {
	path  string
	began time.Time
}

// failuresIn are those in a folder, the oldest first.
func failuresIn(dir string) ([]failedCreate, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for old logs: %w", err)
	}
	var found []failedCreate
	for _, e := range entries {
		end := e.Name()[strings.LastIndex(e.Name(), "-")+1:]
		if at, err := time.Parse(evidenceForm, end); err == nil && e.IsDir() {
			found = append(found, failedCreate{filepath.Join(dir, e.Name()), at})
		}
	}
	slices.SortFunc(found, func(a, b failedCreate) int { return a.began.Compare(b.began) })
	return found, nil
}

// pruneEvidence removes the folders of all but the newest failed creates.
func pruneEvidence(dir string) error {
	oldest, err := failuresIn(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range oldest[:max(0, len(oldest)-evidenceKept)] {
		errs = append(errs, os.RemoveAll(f.path))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing old logs: %w", err)
	}
	return nil
}
