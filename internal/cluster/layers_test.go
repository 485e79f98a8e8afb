package cluster

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// layered is an engine whose images have a LabelLayers. It notes what nodes
// are asked for.
type layered struct {
	*providertest.Provider

	label string
	mu    sync.Mutex
	specs []provider.NodeSpec
}

func (l *layered) Image(ctx context.Context, ref string) (provider.Image, error) {
	img, err := l.Provider.Image(ctx, ref)
	if err == nil {
		img.Labels[nodespec.LabelLayers] = l.label
	}
	return img, err
}

func (l *layered) CreateNode(ctx context.Context, spec provider.NodeSpec) (provider.Node, error) {
	l.mu.Lock()
	l.specs = append(l.specs, spec)
	l.mu.Unlock()
	return l.Provider.CreateNode(ctx, spec)
}

func TestNodesGetTheFoldersOfTheImage(t *testing.T) {
	p := &layered{Provider: engine(t), label: `{"/a": "sha256:1", "/b": "sha256:2"}`}
	if _, err := manager(t, p).Create(t.Context(), wanted(t, "c", 3)); err == nil {
		t.Fatal("a cluster came up without its programs")
	}
	nodes := 0
	for _, spec := range p.specs {
		if !spec.System {
			continue // the load balancer
		}
		nodes++
		if diff := cmp.Diff(map[string]string{"/a": "sha256:1", "/b": "sha256:2"}, spec.LayerMounts); diff != "" {
			t.Errorf("node %s: %s", spec.Name, diff)
		}
	}
	if nodes != 3 {
		t.Errorf("%d nodes were asked for", nodes)
	}
}

func TestDamagedLayersLabel(t *testing.T) {
	p := &layered{Provider: engine(t), label: "{"}
	_, err := manager(t, p).Create(t.Context(), wanted(t, "c", 1))
	if err == nil || !strings.Contains(err.Error(), nodespec.LabelLayers) {
		t.Errorf("err = %v", err)
	}
}
