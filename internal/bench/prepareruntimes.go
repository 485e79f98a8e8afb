package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// PrepareRuntimes is Prepare for what RunRuntimes measures: a node image for each
// container runtime, or the one image for all that is named.
func PrepareRuntimes(ctx context.Context, engine Engine, exec Runner, w Wanted, pairs []Pair, image string) (*Report, []RuntimeTool, error) {
	r, err := newReport(ctx, engine)
	if err != nil {
		return nil, nil, err
	}
	program, err := r.klusterProgram(ctx, exec, w)
	if err != nil {
		return nil, nil, err
	}
	set := &RuntimeSettings{Pairs: pairs, Images: map[string]string{}}
	var tools []RuntimeTool
	for _, p := range pairs {
		if set.Images[p.Runtime] == "" {
			if set.Images[p.Runtime], err = imageFor(ctx, exec, w, program, p.Runtime, image); err != nil {
				return nil, nil, err
			}
		}
		img, err := findImage(ctx, engine, set.Images[p.Runtime])
		if err != nil {
			return nil, nil, err
		}
		if r.Versions.Image == "" { // the floor's
			r.Versions.Image, r.Versions.Kubernetes = img.ref, img.Labels[nodespec.LabelKubernetes]
		}
		tool, err := img.runtimeTool(program, p, image)
		if err != nil {
			return nil, nil, err
		}
		tools = append(tools, tool)
	}
	r.Settings.Runtimes = set
	return r, tools, nil
}

// imageFor is the node image for a container runtime: the one that is named, else
// the one that kluster takes.
func imageFor(ctx context.Context, exec Runner, w Wanted, program, runtime, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	return builtImage(ctx, exec, w, program, "--runtime", runtime)
}

// runtimeTool is kluster with this image, which must hold both of a pair. named is
// the image to name in a create.
func (n nodeImage) runtimeTool(program string, p Pair, named string) (RuntimeTool, error) {
	hasOCI := slices.ContainsFunc(n.holds.Components, func(c nodespec.ComponentRecord) bool { return c.Name == p.OCI })
	if !slices.Contains(n.holds.Runtimes, p.Runtime) || !hasOCI {
		return RuntimeTool{}, fmt.Errorf("image %s holds %s, not %s: name one that \"kluster build node-image --runtime %s\" makes, or none",
			n.ref, strings.Join(n.holds.Runtimes, ", "), p, p.Runtime)
	}
	probe, err := n.preloaded(probeImages)
	if err != nil {
		return RuntimeTool{}, err
	}
	pod, err := n.preloaded(podImages)
	if err != nil {
		return RuntimeTool{}, err
	}
	return Kluster(program, n.ref, probe, "").withPair(p, named, pod)
}
