package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/e2e/certify"
	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/preflight"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
)

// placeImages sees that every cluster of kluster's own has the images of the specs,
// and notes which they are.
func (r *run) placeImages(ctx context.Context, _ status.Step) error {
	if r.suite.Program == plan.Package {
		return nil
	}
	if r.suite.Program == plan.CRI {
		return r.placeCRIImages(ctx)
	}
	group, each := errgroup.WithContext(ctx)
	for _, t := range r.clusters {
		if t.exec != nil {
			group.Go(func() error { return r.Clusters.PrepareConformance(each, t.name) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := r.noteImages(ctx); err != nil {
		return err
	}
	return r.refuseStandIns()
}

// noteImages names the images of the nodes of kluster's own clusters in the report.
func (r *run) noteImages(ctx context.Context) error {
	for _, t := range r.clusters {
		if t.exec == nil {
			continue
		}
		images, err := r.Clusters.ConformanceImages(ctx, t.name)
		if err != nil {
			return err
		}
		for _, image := range images {
			r.notePart(report.Part{Name: image.Ref, Digest: image.ID, StandIn: image.StandIn})
		}
	}
	return nil
}

// listTime bounds the question for the images that nodes list.
const listTime = 15 * time.Second

// noteListed names the images of clusters that kluster did not make, as far as their
// API lists them.
func (r *run) noteListed(ctx context.Context) error {
	if r.suite.Program == plan.Package {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, listTime, fmt.Errorf("no answer within %s", listTime))
	defer cancel()
	for _, t := range r.clusters {
		if t.exec != nil {
			continue
		}
		wanted, err := nodeimage.ConformanceImages(r.version)
		if err != nil {
			return err
		}
		listed, err := preflight.Listed(ctx, t.config)
		if err != nil {
			return fmt.Errorf("asking which images the nodes of %s have: %w", t.name, err)
		}
		for _, names := range listed {
			for _, image := range wanted {
				if slices.Contains(names, image.Ref) {
					r.notePart(listedPart(image.Ref, names))
				}
			}
		}
	}
	return nil
}

// listedPart is an image with these names on a node: tags, and "name@sha256:...",
// the digest by which it was pulled.
func listedPart(ref string, names []string) report.Part {
	var digests []string
	for _, name := range names {
		if _, digest, ok := strings.Cut(name, "@"); ok {
			digests = append(digests, digest)
		}
	}
	part, published := report.Part{Name: ref}, certify.Published(ref)
	switch {
	case slices.Contains(digests, published):
		part.Digest = published
		return part
	case len(digests) > 0:
		part.Digest = digests[0]
	}
	if published != "" {
		part.StandIn = "nodes have it without the digest " + published + ", under which upstream published it"
	}
	return part
}

// notePart names a part in the report, once.
func (r *run) notePart(part report.Part) {
	if !slices.Contains(r.parts, part) {
		r.parts = append(r.parts, part)
	}
}
