package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// images are the preloaded container images that a create itself uses.
type images struct{ agnhost, busybox, provisioner string }

// ensureImage finds the image of every node, and builds the one that belongs to
// the cluster's Kubernetes version when there is none.
func (c *creation) ensureImage(ctx context.Context, step status.Step) error {
	fallback := c.cfg.Image
	if fallback == "" {
		ref, err := c.m.EnsureImage(ctx, ImageOptions{Kubernetes: c.cfg.KubernetesVersion, Runtimes: c.cfg.Runtimes()}, step)
		if err != nil {
			return err
		}
		fallback = ref
	}
	for _, n := range c.cfg.Nodes {
		ref := n.Image
		if ref == "" {
			ref = fallback
		}
		c.image[n.Name] = ref
	}
	return c.checkImages(ctx)
}

// checkImages sees that all images are there and speak our protocol, and takes
// the cluster's version and preloaded images from the first one.
func (c *creation) checkImages(ctx context.Context) error {
	for i, n := range c.cfg.Nodes {
		ref := c.image[n.Name]
		img, err := c.m.provider.Image(ctx, ref)
		if errors.Is(err, provider.ErrNotFound) {
			return fmt.Errorf("node %s: image %q: %w", n.Name, ref, errNoImage)
		}
		if err != nil {
			return err
		}
		m, err := manifestOf(img)
		if err != nil {
			return fmt.Errorf("node %s: image %q: %w", n.Name, ref, err)
		}
		if c.layers[ref], err = layersOf(img); err != nil {
			return fmt.Errorf("node %s: image %q: %w", n.Name, ref, err)
		}
		if c.runs[n.Name], err = runsOf(n, m); err != nil {
			return &inputError{fmt.Errorf("node %s: image %q: %w", n.Name, ref, err)}
		}
		if i > 0 {
			if err := notNewer(m.Kubernetes, c.cfg.KubernetesVersion); err != nil {
				return &inputError{fmt.Errorf("node %s: image %q: %w", n.Name, ref, err)}
			}
			continue
		}
		if want := c.cfg.KubernetesVersion; want != "" && want != m.Kubernetes {
			return &inputError{fmt.Errorf("image %q holds Kubernetes %s, not %s", ref, m.Kubernetes, want)}
		}
		c.cfg.KubernetesVersion = m.Kubernetes
		if c.pauseImage, err = preloaded(m, "pause"); err != nil {
			return fmt.Errorf("image %q: %w", ref, err)
		}
		if err := c.images.find(m); err != nil {
			return fmt.Errorf("image %q: %w", ref, err)
		}
	}
	return nil
}

// notNewer is Kubernetes' rule that no kubelet may be newer than its API server.
func notNewer(kubelet, apiserver string) error {
	k, err := version.ParseSemantic(kubelet)
	if err != nil {
		return fmt.Errorf("version of Kubernetes: %w", err)
	}
	a, err := version.ParseSemantic(apiserver)
	if err != nil {
		return fmt.Errorf("version of Kubernetes: %w", err)
	}
	if a.LessThan(k) {
		return fmt.Errorf("kubelet %s is newer than the cluster's %s", kubelet, apiserver)
	}
	return nil
}

func (s *images) find(m nodespec.Manifest) error {
	var errs []error
	for _, want := range []struct {
		name string
		to   *string
	}{{"agnhost", &s.agnhost}, {"busybox", &s.busybox}, {"local-path-provisioner", &s.provisioner}} {
		ref, err := preloaded(m, want.name)
		*want.to = ref
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// preloaded finds a preloaded image by the last part of its repository.
func preloaded(m nodespec.Manifest, name string) (string, error) {
	i := slices.IndexFunc(m.Images, func(r nodespec.ImageRecord) bool { return strings.Contains(r.Ref, "/"+name+":") })
	if i < 0 {
		return "", fmt.Errorf("it holds no %s image", name)
	}
	return m.Images[i].Ref, nil
}

// manifestOf reads what an image says it holds.
func manifestOf(img provider.Image) (nodespec.Manifest, error) {
	text, ok := img.Labels[nodespec.LabelManifest]
	if !ok {
		return nodespec.Manifest{}, errNotNodeImage
	}
	if p := img.Labels[nodespec.LabelProtocol]; p != strconv.Itoa(nodespec.Protocol) {
		return nodespec.Manifest{}, fmt.Errorf("it speaks protocol %q and this kluster %d: %w", p, nodespec.Protocol, errRebuild)
	}
	var m nodespec.Manifest
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nodespec.Manifest{}, fmt.Errorf("reading label %s: %w", nodespec.LabelManifest, err)
	}
	return m, nil
}

// layersOf reads which folders of an image one layer alone makes up, each with
// that layer's diff ID.
func layersOf(img provider.Image) (map[string]string, error) {
	text, ok := img.Labels[nodespec.LabelLayers]
	if !ok {
		return nil, nil
	}
	var layers map[string]string
	if err := json.Unmarshal([]byte(text), &layers); err != nil {
		return nil, fmt.Errorf("reading label %s: %w", nodespec.LabelLayers, err)
	}
	return layers, nil
}

// ImageInfo is a node image in the engine.
type ImageInfo struct {
	Ref      string            `json:"ref"`
	ID       string            `json:"id"`
	Size     int64             `json:"size"` // bytes
	Built    bool              `json:"built,omitempty"`
	Manifest nodespec.Manifest `json:"manifest"`
}

// Images lists the node images of the engine with what they hold.
func (m *Manager) Images(ctx context.Context) ([]ImageInfo, error) {
	imgs, err := m.provider.Images(ctx, provider.Selector{nodespec.LabelManifest: ""})
	if err != nil {
		return nil, err
	}
	infos := []ImageInfo{}
	for _, img := range imgs {
		for _, ref := range img.Refs {
			if !strings.HasPrefix(ref, nodespec.ImageRepository+":") {
				continue
			}
			manifest, err := manifestOf(img)
			if err != nil {
				m.reporter.Note("image %s: %v", ref, err)
				continue
			}
			infos = append(infos, ImageInfo{Ref: ref, ID: img.ID, Size: img.Size, Manifest: manifest})
		}
	}
	return infos, nil
}
