package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// loadNodes is nodes whose runtime imports what it is given.
type loadNodes struct {
	arch string
	mu   sync.Mutex
	// got are the files of layers that a node was given, by node.
	got map[string][]string
	// blobs, names and free are what nodes have: of layers, of images with their IDs,
	// of disk.
	blobs map[string]map[string]bool
	names map[string]map[string]string
	free  string
	// fail, if not nil, ends the import of a node with words.
	fail func(node string, files map[string][]byte) string
}

func newLoads(t *testing.T, p *providertest.Provider) *loadNodes {
	t.Helper()
	host, err := p.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := &loadNodes{arch: host.Arch, got: map[string][]string{}, blobs: map[string]map[string]bool{}, names: map[string]map[string]string{}}
	p.Handle = l.handle
	return l
}

// nodes are those that were given something.
func (l *loadNodes) nodes() []string { return slices.Sorted(maps.Keys(l.got)) }

func (l *loadNodes) handle(_ context.Context, n provider.Node, cmd provider.Command) int {
	runtime, err := cri.Get("containerd")
	if err != nil {
		return 1
	}
	switch {
	case slices.Equal(cmd.Args, runtime.Holds):
		l.print(n.Name, cmd.Stdout)
		return 0
	case readsStream(cmd):
		return l.load(n.Name, cmd)
	}
	return 127
}

// readsStream says whether a command reads a stream of images, in either way.
func readsStream(cmd provider.Command) bool {
	runtime, err := cri.Get("containerd")
	return err == nil && (slices.Equal(cmd.Args, runtime.Load) || slices.Equal(cmd.Args, runtime.Import))
}

func (l *loadNodes) print(node string, w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for digest := range l.blobs[node] {
		fmt.Fprintln(w, "blob", digest)
	}
	type listed struct {
		ID       string   `json:"id"`
		RepoTags []string `json:"repoTags"`
	}
	var list []listed
	for name, id := range l.names[node] {
		list = append(list, listed{id, []string{name}})
	}
	text, _ := json.Marshal(map[string]any{"images": list})
	fmt.Fprintf(w, "free %s\nimages\n%s\n", l.free, text)
}

func (l *loadNodes) load(node string, cmd provider.Command) int {
	files := map[string][]byte{}
	for tr := tar.NewReader(cmd.Stdin); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Fprintln(cmd.Stderr, err)
			return 1
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			fmt.Fprintln(cmd.Stderr, err)
			return 1
		}
		if got := digest.FromBytes(files[h.Name]).Encoded(); h.Uname == imageload.LayerMark && got != path.Base(h.Name) {
			fmt.Fprintln(cmd.Stderr, "what came is", got)
			return 1
		}
	}
	return l.take(node, files, cmd.Stderr)
}

// take makes images of the files: of those that there are, as runtimes do.
func (l *loadNodes) take(node string, files map[string][]byte, stderr io.Writer) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		if words := l.fail(node, files); words != "" {
			fmt.Fprintln(stderr, words)
			return 1
		}
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(files["index.json"]))
	if err != nil {
		return 1
	}
	if l.blobs[node] == nil {
		l.blobs[node], l.names[node] = map[string]bool{}, map[string]string{}
	}
	given := []string{}
	for _, d := range index.Manifests {
		m, err := v1.ParseManifest(bytes.NewReader(files["blobs/sha256/"+d.Digest.Hex]))
		if err != nil {
			return 1
		}
		for _, layer := range m.Layers {
			if files["blobs/sha256/"+layer.Digest.Hex] != nil {
				given = append(given, layer.Digest.String())
			} else if !l.blobs[node][layer.Digest.String()] {
				fmt.Fprintln(stderr, "no layer", layer.Digest)
				return 1
			}
			l.blobs[node][layer.Digest.String()] = true
		}
		l.names[node][d.Annotations["io.containerd.image.name"]] = m.Config.Digest.String()
	}
	l.got[node] = given
	return 0
}

// image is one of random layers.
func (l *loadNodes) image(t *testing.T, ref string, layers int64) tagged {
	t.Helper()
	img, err := random.Image(1000, layers)
	if err != nil {
		t.Fatal(err)
	}
	return tagged{ref, l.on(t, img, l.arch)}
}

func (l *loadNodes) on(t *testing.T, img v1.Image, arch string) v1.Image {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

type tagged struct {
	ref string
	v1.Image
}

// more is an image with a further layer.
func (i tagged) more(t *testing.T, ref string) tagged {
	t.Helper()
	layer, err := random.Layer(500, types.DockerLayer)
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(i.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	return tagged{ref, img}
}

// big is an image with a layer of more than is read ahead.
func (i tagged) big(t *testing.T) tagged {
	t.Helper()
	layer, err := random.Layer(4*feedChunks*chunkSize, types.DockerLayer)
	if err == nil {
		i.Image, err = mutate.AppendLayers(i.Image, layer)
	}
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (i tagged) id(t *testing.T) string {
	t.Helper()
	id, err := i.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

func (i tagged) layers(t *testing.T) []string {
	t.Helper()
	m, err := i.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, l := range m.Layers {
		all = append(all, l.Digest.String())
	}
	return all
}

func (l *loadNodes) archive(t *testing.T, img tagged) string {
	t.Helper()
	ref, err := name.NewTag(img.ref)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "a.tar")
	if err := tarball.WriteToFile(file, ref, img); err != nil {
		t.Fatal(err)
	}
	return file
}

// loading starts nodes of two clusters.
func loading(t *testing.T) (*Manager, *providertest.Provider, *loadNodes) {
	t.Helper()
	p := engine(t)
	running(t, p, "a")
	running(t, p, "b")
	return manager(t, p), p, newLoads(t, p)
}

var bothNodes = []string{"a-control-plane-1", "a-worker-1"}

func TestLoadSendsWhatNodesLack(t *testing.T) {
	m, _, l := loading(t)
	first := l.image(t, "app:1", 3)
	second := first.more(t, "app:1")
	load := func(img tagged, nodes ...string) {
		t.Helper()
		l.got = map[string][]string{}
		if err := m.Load(t.Context(), LoadOptions{Cluster: "a", Archive: l.archive(t, img), Nodes: nodes, Verify: true}); err != nil {
			t.Fatal(err)
		}
	}
	load(first, "a-worker-1")
	if diff := cmp.Diff(map[string][]string{"a-worker-1": first.layers(t)}, l.got); diff != "" {
		t.Errorf("the first load (-want +got):\n%s", diff)
	}
	load(second)
	want := map[string][]string{"a-worker-1": second.layers(t)[3:], "a-control-plane-1": second.layers(t)}
	if diff := cmp.Diff(want, l.got); diff != "" {
		t.Errorf("the second load (-want +got):\n%s", diff)
	}
	load(second)
	if len(l.got) != 0 {
		t.Errorf("loaded again: %v", l.got)
	}
	if got := l.names["a-worker-1"]["docker.io/library/app:1"]; got != second.id(t) {
		t.Errorf("the node has %s", got)
	}
}

// From files that each node reads by itself, and read once for all.
func TestLoadFromTheEngine(t *testing.T) {
	for _, local := range []bool{true, false} {
		t.Run(fmt.Sprint("local: ", local), func(t *testing.T) { loadsFromTheEngine(t, local) })
	}
}

func loadsFromTheEngine(t *testing.T, local bool) {
	t.Helper()
	m, p, l := loading(t)
	p.Local = local
	img := l.image(t, "app:1", 2)
	other := img.more(t, "db:1")
	for _, i := range []tagged{img, other} {
		if err := p.LoadImage(t.Context(), i.ref, i, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Load(t.Context(), LoadOptions{Cluster: "a", Images: []string{"app:1", "db:1"}, Verify: true}); err != nil {
		t.Fatal(err)
	}
	for _, node := range bothNodes {
		want := map[string]string{"docker.io/library/app:1": img.id(t), "docker.io/library/db:1": other.id(t)}
		if diff := cmp.Diff(want, l.names[node]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", node, diff)
		}
		if len(l.blobs[node]) != 3 {
			t.Errorf("%s has %d layers", node, len(l.blobs[node]))
		}
	}
}

func TestLoadAgainWithLayersThatHaveGone(t *testing.T) {
	m, _, l := loading(t)
	img := l.image(t, "app:1", 2)
	gone := img.layers(t)[0]
	l.blobs["a-worker-1"] = map[string]bool{gone: true}
	l.names["a-worker-1"] = map[string]string{}
	l.fail = func(node string, files map[string][]byte) string {
		if node == "a-worker-1" && files["blobs/sha256/"+strings.TrimPrefix(gone, "sha256:")] == nil {
			return "content digest " + gone + ": not found"
		}
		return ""
	}
	if err := m.Load(t.Context(), LoadOptions{Cluster: "a", Archive: l.archive(t, img)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{bothNodes[0]: img.layers(t), bothNodes[1]: img.layers(t)}, l.got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What only the runtime's own import takes goes through that, still without the layers
// that the node has.
func TestLoadByTheRuntimesOwnImport(t *testing.T) {
	m, p, l := loading(t)
	runtime, err := cri.Get("containerd")
	if err != nil {
		t.Fatal(err)
	}
	p.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
		if slices.Equal(cmd.Args, runtime.Load) && n.Name == bothNodes[1] {
			_, _ = io.Copy(io.Discard, cmd.Stdin)
			return 1
		}
		return l.handle(ctx, n, cmd)
	}
	img := l.image(t, "app:1", 2)
	had := img.layers(t)[0]
	l.blobs[bothNodes[1]], l.names[bothNodes[1]] = map[string]bool{had: true}, map[string]string{}
	if err := m.Load(t.Context(), LoadOptions{Cluster: "a", Archive: l.archive(t, img), Verify: true}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{bothNodes[0]: img.layers(t), bothNodes[1]: img.layers(t)[1:]}, l.got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// One node that fails does not keep the other from getting all.
func TestLoadFailsInOneNode(t *testing.T) {
	m, _, l := loading(t)
	l.fail = func(node string, _ map[string][]byte) string {
		if node == "a-worker-1" {
			return "write: no space left on device"
		}
		return ""
	}
	err := m.Load(t.Context(), LoadOptions{Cluster: "a", Archive: l.archive(t, l.image(t, "app:1", 2))})
	if err == nil || !strings.Contains(err.Error(), "a-worker-1 has no disk space left") || len(failure.Hints(err)) == 0 {
		t.Errorf("err = %v", err)
	}
	if diff := cmp.Diff([]string{"a-control-plane-1"}, l.nodes()); diff != "" {
		t.Errorf("loaded into (-want +got):\n%s", diff)
	}
}

func TestLoadFailsInAllNodesAtOnce(t *testing.T) {
	m, p, l := loading(t)
	p.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
		if readsStream(cmd) {
			return 1 // before it has read anything
		}
		return l.handle(ctx, n, cmd)
	}
	img := l.image(t, "app:1", 3).big(t)
	if err := m.Load(t.Context(), LoadOptions{Cluster: "a", Archive: l.archive(t, img)}); err == nil || !strings.Contains(err.Error(), "importing images into a-worker-1") {
		t.Errorf("err = %v", err)
	}
}

// Of what is damaged no runtime makes an image, wherever that is seen.
func TestLoadOfADamagedArchive(t *testing.T) {
	m, _, l := loading(t)
	img := l.image(t, "app:1", 3)
	dir := t.TempDir()
	index, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = index.AppendImage(img, layout.WithPlatform(v1.Platform{OS: "linux", Architecture: l.arch}))
	}
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(img.layers(t)[1], "sha256:")), 100)
	archive := l.archive(t, img)
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	// In the checksum at the end of the last layer: a bit elsewhere may be one that gzip does
	// not heed, and an archive has digests of unpacked layers alone.
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	size, err := layers[2].Size()
	if err != nil {
		t.Fatal(err)
	}
	header := bytes.LastIndex(data, []byte(".tar.gz\x00")) - sha256.Size*2
	spoil(t, archive, header+512+int(size)-8)
	for name, tt := range map[string]struct {
		opt LoadOptions
		err string
	}{
		"seen here":    {LoadOptions{Archive: archive}, "damaged"},
		"seen by them": {LoadOptions{Layout: dir, Name: "app:1"}, "layer " + img.layers(t)[1] + ": its content is not what its digest says: it is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.opt.Cluster = "a"
			if err := m.Load(t.Context(), tt.opt); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("err = %v", err)
			}
			if len(l.names) > 0 {
				t.Errorf("nodes have %v", l.names)
			}
		})
	}
}

// spoil changes a byte of a file.
func spoil(t *testing.T, file string, at int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A node that reads nothing before another one has all does not keep that from it.
func TestLoadWaitsForNoNode(t *testing.T) {
	m, p, l := loading(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	fast := make(chan struct{})
	p.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
		if readsStream(cmd) && n.Name == bothNodes[0] {
			select {
			case <-fast:
			case <-ctx.Done():
				return 1
			}
		}
		code := l.handle(ctx, n, cmd)
		if readsStream(cmd) && n.Name == bothNodes[1] {
			close(fast)
		}
		return code
	}
	if err := m.Load(ctx, LoadOptions{Cluster: "a", Archive: l.archive(t, l.image(t, "app:1", 2).big(t)), Verify: true}); err != nil {
		t.Error(err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	empty, text := filepath.Join(dir, "empty"), filepath.Join(dir, "text")
	for path, data := range map[string]string{empty: "", text: "this is no archive"} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, p, l := loading(t)
	good := l.archive(t, l.image(t, "app:1", 1))
	wrong := l.image(t, "wrong:1", 1)
	wrong.Image = l.on(t, wrong.Image, "s390x")
	if err := p.LoadImage(t.Context(), wrong.ref, wrong, nil); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		opt LoadOptions
		err string
	}{
		"the load balancer":            {LoadOptions{Archive: good, Nodes: []string{"a-worker-1", "a-lb"}}, "a-lb is the load balancer"},
		"no such node":                 {LoadOptions{Archive: good, Nodes: []string{"b-worker-1"}}, `no node "b-worker-1"`},
		"no such file":                 {LoadOptions{Archive: filepath.Join(dir, "none")}, "no such file"},
		"an empty file":                {LoadOptions{Archive: empty}, "the file is empty"},
		"no archive":                   {LoadOptions{Archive: text}, "reading the archive"},
		"a folder":                     {LoadOptions{Archive: dir}, "is a directory"},
		"no layout":                    {LoadOptions{Layout: dir}, "there is no index.json"},
		"no such image":                {LoadOptions{Images: []string{"none:1"}}, `the engine holds no image "none:1"`},
		"wrong platform":               {LoadOptions{Images: []string{"wrong:1"}}, "wrong:1 is for linux/s390x, and the nodes are linux/" + l.arch},
		"wrong platform of an archive": {LoadOptions{Archive: l.archive(t, wrong)}, "wrong:1 is for linux/s390x"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.opt.Cluster = "a"
			err := m.Load(t.Context(), tt.opt)
			if failure.Code(err) != failure.CodeUsage || !strings.Contains(fmt.Sprint(err), tt.err) {
				t.Errorf("err = %v (code %d), want %q", err, failure.Code(err), tt.err)
			}
		})
	}
	if len(l.got) > 0 {
		t.Errorf("nodes got %v", l.got)
	}
}

func TestLoadWithoutRoom(t *testing.T) {
	m, _, l := loading(t)
	l.free = "1500"
	err := m.Load(t.Context(), LoadOptions{Cluster: "a", Archive: l.archive(t, l.image(t, "app:1", 3))})
	if err == nil || !strings.Contains(err.Error(), "of disk left, and loading takes") || len(failure.Hints(err)) == 0 {
		t.Errorf("err = %v", err)
	}
	if len(l.got) > 0 {
		t.Errorf("nodes got %v", l.got)
	}
}
