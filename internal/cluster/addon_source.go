package cluster

import (
	"context"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
)

// What add-ons need is made from module graphs, or taken from the cache, which is in
// use meanwhile (nodeimage.UseCache) and has what a bundle brought.

func (m *Manager) buildOptions(step status.Step) nodeimage.Options {
	return nodeimage.Options{CacheDir: m.cacheDir, Sandbox: sandbox{m.provider}, Progress: step}
}

// addonFiles reads manifests: for each of files those that it names.
func (m *Manager) addonFiles(ctx context.Context, files []addons.File, step status.Step) ([][][]byte, error) {
	return nodeimage.ModuleFiles(ctx, moduleFilesOf(files), m.buildOptions(step))
}

func moduleFilesOf(files []addons.File) []nodeimage.ModuleFile {
	var out []nodeimage.ModuleFile
	for _, f := range files {
		out = append(out, nodeimage.ModuleFile(f))
	}
	return out
}

// addonImages gives container images by their whole names ("registry.k8s.io/a/b:v1").
func (m *Manager) addonImages(ctx context.Context, refs []string, step status.Step) (imageload.Source, error) {
	archive, err := nodeimage.BuildOnDemand(ctx, refs, m.buildOptions(step))
	if err != nil {
		return nil, err
	}
	return archive.Source()
}
