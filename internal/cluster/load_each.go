package cluster

import (
	"context"
	"sync"

	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/pieces"
)

// sendEach reads the files for each node by itself, so that no node waits for another. Of
// what is read nothing is looked at here: nodes compare it with its digests. An error is the
// source's.
func (l *loader) sendEach(ctx context.Context, targets []*target) error {
	read := make([]error, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() { t.err, read[i] = l.sendOne(ctx, t) })
	}
	all.Wait()
	for _, err := range read {
		if err != nil {
			return err
		}
	}
	return nil
}

// sendOne brings a node what it lacks. The second error is that of what was read.
func (l *loader) sendOne(ctx context.Context, t *target) (failed, read error) {
	images := l.src.Images()
	total, _ := imageload.Bytes(images, t.missing)
	p := progress{step: t.step, total: total}
	stream := pieces.NewReader(ctx, imageload.Pieces(ctx, images, t.missing, l.files), p.add)
	failed = l.run(ctx, t, stream)
	_ = stream.Close() // when it is read no more
	return failed, stream.Err()
}
