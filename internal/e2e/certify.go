package e2e

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/e2e/certify"
	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/failure"
	nodeimage "github.com/kluster-project/kluster/node-image"
)

// Certification is a bundle for the Certified Kubernetes program, which a run shall
// end with.
type Certification struct {
	Dir     string // of the bundle
	Product certify.Product
}

// certifying makes the suite what a certification asks for, upstream's own program,
// and refuses what could not be certified.
func (r *run) certifying() error {
	if r.opt.Certification == nil {
		return nil
	}
	f := r.opt.Filter
	switch {
	case r.opt.Expectations != nil:
		return usageError(errExpected, "leave out --expectations")
	case !r.suite.Complete:
		return usageError(errors.New("only the suite conformance is certified"), "--suite conformance")
	case f.Labels != "" || len(f.Focus) > 0 || len(f.Skip) > 0 || r.opt.RerunFailed > 0 || r.opt.Resume || len(r.opt.Create) > 1:
		return usageError(errors.New("a certified run is all of conformance, at once, on one cluster"),
			"leave out --label-filter, --focus, --skip, --rerun-failed, --resume and --clusters")
	}
	r.suite.Program = plan.Stock
	return nil
}

// refuseUnproven ends a run that shall be certified and cannot be, before it has
// taken its time: kluster's own clusters have stand-ins for the specs' images, and of
// others the API must not say that theirs are not upstream's.
func (r *run) refuseUnproven(ctx context.Context) error {
	if r.opt.Certification == nil {
		return nil
	}
	images, err := nodeimage.ConformanceImages(r.version)
	if err != nil {
		return err
	}
	var unknown []string
	for _, image := range images {
		if r.opt.Kubeconfig == "" && image.StandIn != "" {
			r.notePart(report.Part{Name: image.Ref, StandIn: image.StandIn})
		}
		if certify.Published(image.Ref) == "" {
			unknown = append(unknown, image.Ref)
		}
	}
	if err := errors.Join(r.noteListed(ctx), r.refuseStandIns()); err != nil || len(unknown) == 0 {
		return err
	}
	return failure.New("no certification: upstream's digests are not known here of "+strings.Join(unknown, ", "), failure.Exit(failure.CodeUsage),
		failure.Hint("certify a cluster of another version, or run without --certification-bundle"))
}

// unproven are the specs' images of which no node has told that it is the one that
// upstream published.
func (r *run) unproven() error {
	images, err := nodeimage.ConformanceImages(r.version)
	if err != nil {
		return err
	}
	var names []string
	for _, image := range images {
		proof := report.Part{Name: image.Ref, Digest: certify.Published(image.Ref)}
		if !slices.Contains(r.parts, proof) {
			names = append(names, image.Ref)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return failure.New("no certification bundle: no node lists upstream's image of "+strings.Join(names, ", "),
		failure.Hint("kubelets list the 50 largest images of a node: with nodeStatusMaxImages: -1 in their configuration they list all"))
}

// refuseStandIns ends a run that shall be certified and has parts that differ from
// upstream's.
func (r *run) refuseStandIns() error {
	if r.opt.Certification == nil {
		return nil
	}
	var names []string
	for _, p := range r.parts {
		if p.StandIn != "" {
			names = append(names, p.Name+" ("+p.StandIn+")")
		}
	}
	if len(names) == 0 {
		return nil
	}
	return failure.New("no certification with stand-ins for upstream's parts: "+strings.Join(names, "; "), failure.Exit(failure.CodeUsage),
		failure.Hint("certify on a cluster that pulls upstream's images (--kubeconfig), or run without --certification-bundle"))
}

// certify writes the bundle of a run that has ended.
func (r *run) certify() (certify.Submission, error) {
	if err := r.unproven(); err != nil {
		return certify.Submission{}, err
	}
	return certify.Bundle{
		Report: r.report, Product: r.opt.Certification.Product, Required: plan.Names(r.list),
		Log: filepath.Join(r.opt.Dir, runner.LogFile), JUnit: filepath.Join(r.opt.Dir, certify.JUnitFile),
		Commands: []string{strings.Join(r.opt.Command, " ")},
	}.Write(r.opt.Certification.Dir)
}

// used says whether a part of the suite's programs takes part in this run.
func (r *run) used(part nodeimage.SuitePart) bool {
	for _, file := range kubernetesPrograms {
		if part.Name == file {
			return file == kubernetesPrograms[r.suite.Program]
		}
	}
	return true
}

// partOf is a program as the report names it.
func partOf(p nodeimage.SuitePart) report.Part {
	return report.Part{Name: p.Name, Version: p.Version, Digest: p.Digest, StandIn: p.StandIn}
}
