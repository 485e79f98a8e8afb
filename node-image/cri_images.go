package nodeimage

import "context"

// CRIImages are stand-ins for the container images that cri-tools' specs pull.
type CRIImages struct {
	*Archive
	// Placed are what Archive holds.
	Placed []CRIImage
	// Registries are the hosts that specs ask for them ("gcr.io").
	Registries []string
}

// CRIImage is one of them.
type CRIImage struct {
	Ref     string // the name that specs have for it
	StandIn string // how it differs from upstream's
	Digest  string // of its manifest, "sha256:..."
}

// BuildCRIImages makes the container images of cri-tools' specs, from the cache where
// it can. They are the same for every version of Kubernetes. It returns the errors of
// Resolve and Build.
func BuildCRIImages(ctx context.Context, opts Options) (*CRIImages, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	return buildCRIImages(ctx, c, Spec{}, Env{}, opts)
}

func buildCRIImages(ctx context.Context, c *Catalog, spec Spec, env Env, opts Options) (*CRIImages, error) {
	if err := check(c, &spec); err != nil {
		return nil, err
	}
	x := resolver{c: c, spec: spec, containers: c.CRI.Images}
	if err := x.begin(ctx, env); err != nil {
		return nil, err
	}
	r, err := x.containersOnly(ctx)
	if err != nil {
		return nil, err
	}
	var refs []string
	for _, img := range r.Images {
		refs = append(refs, img.Ref)
	}
	out := &CRIImages{Registries: c.CRI.Registries}
	if out.Archive, err = r.archive(ctx, refs, opts); err != nil {
		return nil, err
	}
	for i, made := range out.Images() { // in the order of the recipe
		out.Placed = append(out.Placed, CRIImage{Ref: made.Ref, StandIn: r.Images[i].StandIn, Digest: made.Digest})
	}
	return out, nil
}
