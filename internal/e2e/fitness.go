package e2e

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/kluster-project/kluster/e2e/preflight"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
)

// preflightFirst looks at a cluster that is there already before anything takes its
// time. Images of the specs are no matter yet: kluster brings them to its own.
func (r *run) preflightFirst(ctx context.Context, _ status.Step) error {
	if len(r.clusters) == 0 {
		return nil // those that are made for the run are looked at when they are there
	}
	shown := r.Reporter.Step("preflight", 0)
	err := errors.Join(r.look(ctx, nil), r.refuseUnproven(ctx))
	shown.End(err)
	return err
}

// preflight looks at all clusters as they are when specs begin, images and all.
func (r *run) preflight(ctx context.Context, _ status.Step) error {
	images, err := r.images()
	if err != nil {
		return err
	}
	return r.look(ctx, images)
}

// nodeFolders are those of a node that specs fill.
var nodeFolders = []string{"/var/lib/kubelet", "/var/log"}

// look looks at every cluster at once, and tells all problems.
func (r *run) look(ctx context.Context, images []string) error {
	problems := make([][]preflight.Problem, len(r.clusters))
	errs := make([]error, len(r.clusters))
	var group sync.WaitGroup
	for i, t := range r.clusters {
		group.Go(func() {
			t.facts, problems[i], errs[i] = preflight.Check(ctx, preflight.Target{
				Name: t.name, Config: t.config, Suite: r.suite, Version: r.version, Images: images,
				Folders: nodeFolders, ReportDir: r.opt.Dir, Exec: preflight.NodeExec(t.exec),
			})
		})
	}
	group.Wait()
	for i, t := range r.clusters {
		r.warn(t.name, problems[i])
		errs[i] = errors.Join(errs[i], preflight.Err(problems[i]))
	}
	return errors.Join(errs...)
}

// warn notes what may fail specs, once.
func (r *run) warn(cluster string, problems []preflight.Problem) {
	for _, p := range problems {
		text := cluster + ": " + p.String()
		if p.Level == preflight.Warning && !slices.Contains(r.warned, text) {
			r.warned = append(r.warned, text)
			r.Reporter.Note("%s", text)
		}
	}
}

// images are the references that the suite's specs start, where kluster knows.
func (r *run) images() ([]string, error) {
	if len(r.list) == 0 {
		return nil, nil
	}
	all, err := nodeimage.ConformanceImages(r.version)
	if err != nil {
		return nil, err
	}
	var refs []string
	for _, image := range all {
		if len(r.suite.Images) == 0 || slices.ContainsFunc(append([]string{"pause"}, r.suite.Images...), func(name string) bool {
			return strings.Contains(image.Ref, "/"+name+":")
		}) {
			refs = append(refs, image.Ref)
		}
	}
	return refs, nil
}
