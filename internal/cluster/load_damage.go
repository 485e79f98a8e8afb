package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/provider"
)

// findDamage compares with their digests, each once in a load, the layers that were sent
// to nodes which failed and do not clearly say why: what nodes say of a damaged one need not
// tell which it is. An error is the source's, together with those of the nodes.
func (l *loader) findDamage(ctx context.Context, targets []*target) error {
	suspect := missing(slices.DeleteFunc(slices.Clone(targets), (*target).saysWhy))
	maps.DeleteFunc(suspect, func(h v1.Hash, _ bool) bool { return l.checked[h] })
	if len(suspect) == 0 {
		return nil
	}
	maps.Copy(l.checked, suspect)
	err := l.src.Read(ctx, suspect, func(_ imageload.Layer, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("reading the images: %w", err), l.failures())
}

// saysWhy says whether it is clear how a node has come out: well, by another failure than
// that of its command, or by one for which there is advice.
func (t *target) saysWhy() bool {
	var failed *provider.ExecError
	return !errors.As(t.err, &failed) || len(failure.Hints(t.err)) > 0
}
