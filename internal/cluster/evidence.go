package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/logs"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// evidenceTime bounds the collection of logs: a node that is sick may not answer.
const evidenceTime = 30 * time.Second

// withEvidence puts the nodes' logs into a folder before they go, and names it
// in the error.
func (c *creation) withEvidence(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, evidenceTime)
	defer cancel()
	nodes, lerr := c.m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCreation: c.id})
	if lerr != nil || len(nodes) == 0 {
		return err
	}
	dir := filepath.Join(c.m.cacheDir, "logs", c.cfg.Name+"-"+c.began.UTC().Format("20060102T150405"))
	done := c.m.reporter.Start("collecting logs", 0)
	lerr = logs.Collect(ctx, c.m.provider, nodes, dir)
	done(nil)
	if lerr != nil {
		c.m.reporter.Note("some logs could not be had: %v", fmt.Errorf("collecting logs: %w", lerr))
	}
	return failure.With(err, failure.Log(dir))
}
