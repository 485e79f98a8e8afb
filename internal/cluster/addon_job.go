package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// addonJob brings add-ons into a cluster.
type addonJob struct {
	m     *Manager
	all   []addons.Addon // in the order to install them in
	files [][][][]byte   // of each
	refs  []string       // whole names of the images that must be brought
	named map[string]string

	images  imageload.Source // nil if none is to be loaded
	release func()

	nodes  []provider.Node
	client dynamic.Interface
}

// newAddonJob picks add-ons by name, with those that they require.
func (m *Manager) newAddonJob(names []string) (*addonJob, error) {
	table, err := addons.Load()
	if err != nil {
		return nil, err
	}
	j := &addonJob{m: m, release: func() {}}
	if j.all, err = table.Pick(names...); err != nil {
		return nil, err
	}
	if j.named, err = nodeimage.OnDemandImages(); err != nil {
		return nil, err
	}
	for _, name := range addons.ArtifactsOf(j.all).Images {
		if ref := j.named[name]; ref != "" {
			j.refs = append(j.refs, ref)
		}
	}
	return j, nil
}

// moduleFiles are the files of the add-ons, each once.
func (j *addonJob) moduleFiles() []nodeimage.ModuleFile {
	return moduleFilesOf(addons.ArtifactsOf(j.all).Files)
}

// close ends the use of the cache.
func (j *addonJob) close() {
	if j != nil {
		j.release()
	}
}

// prepare gets the manifests, and those images that are to be loaded. Nothing of the
// cluster is touched.
func (j *addonJob) prepare(ctx context.Context, refs []string, step status.Step) (err error) {
	if j.release, err = nodeimage.UseCache(ctx, j.m.cacheDir); err != nil {
		j.release = func() {}
		return err
	}
	for _, a := range j.all {
		texts, err := j.m.addonFiles(ctx, a.Files, step)
		if err != nil {
			return fmt.Errorf("manifests of %s: %w", a.Name, err)
		}
		j.files = append(j.files, texts)
	}
	if len(refs) > 0 {
		if j.images, err = j.m.addonImages(ctx, refs, step); err != nil {
			return fmt.Errorf("images of add-ons: %w", err)
		}
	}
	return nil
}

// render gives the objects of the i-th add-on, which know whose they are.
func (j *addonJob) render(i int, v addons.Values) ([]*unstructured.Unstructured, error) {
	images := maps.Clone(v.Images)
	if images == nil {
		images = map[string]string{}
	}
	maps.Copy(images, j.named)
	v.Images = images
	objects, err := j.all[i].Render(v, j.files[i])
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if err := mark(o, j.all[i].Name); err != nil {
			return nil, fmt.Errorf("labelling %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return objects, nil
}

// mark labels an object, and the pods that it makes, with an add-on's name.
func mark(o *unstructured.Unstructured, name string) error {
	if err := unstructured.SetNestedField(o.Object, name, "metadata", "labels", addonLabel); err != nil {
		return err
	}
	if _, makesPods, err := unstructured.NestedMap(o.Object, "spec", "template", "spec"); !makesPods || err != nil {
		return err
	}
	return unstructured.SetNestedField(o.Object, name, "spec", "template", "metadata", "labels", addonLabel)
}

// load brings the images to those nodes that lack any.
func (j *addonJob) load(ctx context.Context, reporter status.Reporter) error {
	if j.images == nil {
		return nil
	}
	return j.m.load(ctx, j.nodes, j.images, false, reporter)
}

// prepareAddons is the step of a create that gets what add-ons need.
func (c *creation) prepareAddons(ctx context.Context, step status.Step) (err error) {
	if c.addons, err = c.m.newAddonJob(c.cfg.Addons); err != nil {
		return err
	}
	return c.addons.prepare(ctx, c.addons.refs, step)
}

// installChosen installs the add-ons that were asked for, within CreateOptions.Wait from
// now: their images may have taken longer to build.
func (c *creation) installChosen(ctx context.Context, step status.Step) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opt.Wait, &timeoutError{c.opt.Wait})
	defer cancel()
	j := c.addons
	j.client = c.dynamic
	j.nodes = slices.DeleteFunc(slices.Collect(maps.Values(c.nodes)), isLoadBalancer)
	if err := j.load(ctx, step); err != nil {
		return err
	}
	return j.install(ctx, c.addonValues(), step)
}
