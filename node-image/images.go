package nodeimage

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// clusterImage is a container image to preload.
type clusterImage struct {
	spec   ContainerImage
	image  v1.Image
	layers []*fileLayer
	record nodespec.ImageRecord
}

// clusterImages makes the container images a cluster needs from the programs.
func (b *builder) clusterImages(ctx context.Context, p *parts) ([]clusterImage, error) {
	var out []clusterImage
	for _, spec := range b.r.Images {
		img := clusterImage{spec: spec}
		if spec.From != "" {
			i := slices.IndexFunc(out, func(o clusterImage) bool { return o.spec.Ref == spec.From })
			if i < 0 {
				return nil, fmt.Errorf("image %s: there is no image %s before it", spec.Ref, spec.From)
			}
			img = out[i].derived(spec)
		}
		if err := b.clusterImage(ctx, p, &img); err != nil {
			return nil, fmt.Errorf("image %s: %w", spec.Ref, err)
		}
		out = append(out, img)
	}
	return out, nil
}

// derived begins an image with the layers and the configuration of another one.
func (c *clusterImage) derived(spec ContainerImage) clusterImage {
	if len(spec.Entrypoint) == 0 {
		spec.Entrypoint = c.spec.Entrypoint
	}
	if len(spec.Cmd) == 0 {
		spec.Cmd = c.spec.Cmd
	}
	if spec.User == "" {
		spec.User = c.spec.User
	}
	return clusterImage{spec: spec, layers: slices.Clone(c.layers)}
}

// clusterImage makes an image whose spec is given, on the layers it begins with.
func (b *builder) clusterImage(ctx context.Context, p *parts, out *clusterImage) error {
	spec := out.spec
	if spec.onRoot() {
		out.layers = append(out.layers, p.roots[spec.Root].layer)
	}
	if !spec.bare() || len(out.layers) == 0 {
		own, err := b.imageLayer(ctx, p, spec)
		if err != nil {
			return err
		}
		out.layers = append(out.layers, own)
	}
	base, err := plainImage(out.layers...)
	if err != nil {
		return err
	}
	out.image, err = mutate.ConfigFile(base, &v1.ConfigFile{
		Architecture: b.r.Arch, OS: "linux", RootFS: rootFS(out.layers),
		Config: v1.Config{
			Env: []string{"PATH=" + nodePath}, User: spec.User, Entrypoint: spec.Entrypoint, Cmd: spec.Cmd, WorkingDir: "/",
			Labels: spec.Labels,
		},
	})
	if err != nil {
		return err
	}
	digest, err := out.image.Digest()
	out.record = nodespec.ImageRecord{Ref: spec.Ref, Digest: digest.String()}
	for _, l := range out.layers {
		out.record.Size += l.meta.Size
	}
	return err
}

// onRoot says whether the image lies on its root, of which it does not take only
// files.
func (c *ContainerImage) onRoot() bool {
	return c.Root != "" && !slices.ContainsFunc(c.Extract, func(e ImageCopy) bool { return e.Root == "" })
}

// bare says that the image has no files of its own.
func (c *ContainerImage) bare() bool {
	return len(c.Dirs)+len(c.Files)+len(c.Extract)+len(c.Append)+len(c.Links) == 0
}

func rootFS(layers []*fileLayer) v1.RootFS {
	fs := v1.RootFS{Type: "layers"}
	for _, l := range layers {
		fs.DiffIDs = append(fs.DiffIDs, l.meta.DiffID)
	}
	return fs
}

// imageFile is a file of a container image with where it comes from.
type imageFile struct {
	Path, Digest string
	Mode         int64

	from string // the file it is a copy of, or
	text string
}

func (f *imageFile) write(w *layerWriter) error {
	if f.text != "" {
		return w.text(f.Path, f.Mode, f.text)
	}
	return w.hostFile(f.Path, f.Mode, f.from)
}

func (b *builder) imageLayer(ctx context.Context, p *parts, spec ContainerImage) (*fileLayer, error) {
	inputs := struct {
		Spec  ContainerImage
		Files []imageFile
		Skel  map[string]string
	}{Spec: spec, Skel: skeleton}
	for _, f := range spec.Files {
		file, err := b.imageFile(ctx, p, f)
		if err != nil {
			return nil, err
		}
		inputs.Files = append(inputs.Files, file)
	}
	if spec.Root != "" {
		inputs.Spec.Root = p.roots[spec.Root].layer.meta.DiffID.String()
	}
	inputs.Spec.Extract = slices.Clone(spec.Extract)
	for i, e := range spec.Extract {
		if e.Root != "" {
			inputs.Spec.Extract[i].Root = p.roots[e.Root].layer.meta.DiffID.String()
		}
	}
	dir, err := b.step(ctx, "image-"+shortName(spec.Ref), inputs, func(dir string) error {
		return writeLayer(dir, func(w *layerWriter) error { return fillImage(w, p, spec, inputs.Files) })
	})
	if err != nil {
		return nil, err
	}
	return openLayer(dir)
}

func (b *builder) imageFile(ctx context.Context, p *parts, f ImageFile) (imageFile, error) {
	mode := func(usual int64) int64 {
		if f.Mode != 0 {
			return f.Mode
		}
		return usual
	}
	if f.Text != "" {
		return imageFile{Path: f.Path, Digest: digestOf([]byte(f.Text)), Mode: mode(0o644), text: f.Text}, nil
	}
	if f.Component != "" {
		from, digest, err := b.program(ctx, p, f.Component)
		return imageFile{Path: f.Path, Digest: digest, Mode: mode(0o755), from: from}, err
	}
	g := b.r.graph(f.Graph)
	if g == nil {
		return imageFile{}, fmt.Errorf("no module graph %q", f.Graph)
	}
	dir, err := b.moduleFiles(ctx, g, "", f.File)
	if err != nil {
		return imageFile{}, err
	}
	from := filepath.Join(dir, path.Base(f.File))
	digest, err := digestFile(from)
	return imageFile{Path: f.Path, Digest: digest, Mode: mode(0o644), from: from}, err
}

// skeleton is what an image without a distribution has besides its program.
var skeleton = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
	"etc/group":         "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n",
	"etc/nsswitch.conf": "hosts: files dns\n",
}

func fillImage(w *layerWriter, p *parts, spec ContainerImage, files []imageFile) error {
	if spec.From == "" && !spec.onRoot() {
		if err := w.dir("tmp", 0o1777); err != nil {
			return err
		}
		for _, name := range []string{"etc/group", "etc/nsswitch.conf", "etc/passwd"} {
			if err := w.text(name, 0o644, skeleton[name]); err != nil {
				return err
			}
		}
	}
	for _, d := range spec.Dirs {
		if err := w.dir(d, 0o755); err != nil {
			return err
		}
	}
	for _, x := range spec.Extract {
		root := x.Root
		if root == "" {
			root = spec.Root
		}
		if err := extract(w, p.roots[root].layer.path, x.From, x.Path); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := f.write(w); err != nil {
			return err
		}
	}
	for _, a := range spec.Append {
		if err := appended(w, p, spec, a); err != nil {
			return err
		}
	}
	for _, l := range spec.Links {
		link := w.link
		if l.Hard {
			link = w.hardLink
		}
		for _, at := range l.Paths {
			if err := link(at, l.Target); err != nil {
				return err
			}
		}
	}
	return nil
}

// shortName is the last part of a reference, without the tag.
func shortName(ref string) string {
	name, _, _ := strings.Cut(path.Base(ref), ":")
	return name
}
