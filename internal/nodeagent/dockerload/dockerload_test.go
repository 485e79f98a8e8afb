package dockerload

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/kluster-project/kluster/internal/imageload"
)

// layerSize is more than a pipe holds.
const layerSize = 3 << 19

func layers(t *testing.T, n int) (all []v1.Layer) {
	t.Helper()
	for range n {
		l, err := random.Layer(layerSize, types.DockerUncompressedLayer)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// image is one of these layers, as a source of streams has it.
func image(t *testing.T, name string, layers ...v1.Layer) *imageload.Image {
	t.Helper()
	img, err := mutate.AppendLayers(mutate.MediaType(emptyImage(t), types.DockerManifestSchema2), layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	id, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	made := &imageload.Image{Names: []string{"docker.io/library/" + name}, ID: id, Config: config}
	for _, l := range layers {
		made.Layers = append(made.Layers, described(t, l))
	}
	return made
}

func emptyImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// described is a layer that is not compressed.
func described(t *testing.T, l v1.Layer) imageload.Layer {
	t.Helper()
	diffID, err := l.DiffID()
	if err != nil {
		t.Fatal(err)
	}
	text := content(t, l)
	return imageload.Layer{DiffID: diffID, Digest: diffID, Size: int64(len(text)), Media: types.DockerUncompressedLayer}
}

func content(t *testing.T, l v1.Layer) []byte {
	t.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// stream is one of images, with some layers.
func stream(t *testing.T, images []*imageload.Image, sent ...v1.Layer) []byte {
	t.Helper()
	var text bytes.Buffer
	s := imageload.NewStream(&text, images)
	for _, l := range sent {
		w, err := s.Layer(described(t, l))
		if err == nil {
			_, err = w.Write(content(t, l))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(images); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// into loads what a pipe brings.
func into(t *testing.T, e *fakeEngine, text []byte) error {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = w.Write(text)
		w.Close()
	}()
	err = e.Load(t.Context(), r)
	_, _ = io.Copy(io.Discard, r)
	r.Close()
	return err
}

func TestLoad(t *testing.T) {
	all := layers(t, 4)
	a, b := image(t, "a:1", all[0], all[1], all[2]), image(t, "b:1", all[0], all[3])
	both := []*imageload.Image{a, b}
	for name, sent := range map[string][]v1.Layer{
		"in order":                    all,
		"the last first":              {all[3], all[2], all[1], all[0]},
		"the layer of the other next": {all[0], all[3], all[1], all[2]},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			if err := into(t, e, stream(t, both, sent...)); err != nil {
				t.Fatal(err)
			}
			names, n := e.has()
			if want := []string{"docker.io/library/a:1", "docker.io/library/b:1"}; !slices.Equal(names, want) || n != 4 || len(e.opened) != 4 {
				t.Errorf("it has %v and %d layers, and opened %v", names, n, e.opened)
			}
		})
	}
}

// What the engine has is not in the stream, or is there for nothing.
func TestLoadMore(t *testing.T) {
	e, all := newEngine(t), layers(t, 3)
	if err := into(t, e, stream(t, []*imageload.Image{image(t, "a:1", all[:2]...)}, all[:2]...)); err != nil {
		t.Fatal(err)
	}
	next := []*imageload.Image{image(t, "a:2", all...)}
	if err := into(t, e, stream(t, next, all[2])); err != nil {
		t.Fatal(err)
	}
	renamed := image(t, "b:1", all...)
	if err := into(t, e, stream(t, []*imageload.Image{renamed})); err != nil {
		t.Fatal("without layers:", err)
	}
	if err := into(t, e, stream(t, []*imageload.Image{image(t, "c:1", all...)}, all...)); err != nil {
		t.Fatal("with all of them:", err)
	}
	if names, n := e.has(); len(names) != 4 || n != 3 || len(e.opened) != 3 {
		t.Errorf("it has %v and %d layers, and opened %d", names, n, len(e.opened))
	}
}

// A layer at several places is in the stream once.
func TestLoadOneLayerTwice(t *testing.T) {
	e, all := newEngine(t), layers(t, 2)
	twice := []*imageload.Image{image(t, "a:1", all[0], all[1], all[0]), image(t, "b:1", all[1], all[0])}
	if err := into(t, e, stream(t, twice, all...)); err != nil {
		t.Fatal(err)
	}
	if names, n := e.has(); len(names) != 2 || n != 5 {
		t.Errorf("it has %v and %d layers", names, n)
	}
}

// Another load brings a layer that this one has begun with.
func TestLoadBesideAnother(t *testing.T) {
	e, all := newEngine(t), layers(t, 3)
	images := []*imageload.Image{image(t, "a:1", all...)}
	text := stream(t, images, all...)
	var begun atomic.Bool
	e.before = func(string) {
		if begun.CompareAndSwap(false, true) {
			if err := into(t, e, text); err != nil {
				t.Error(err)
			}
		}
	}
	if err := into(t, e, text); err != nil {
		t.Fatal(err)
	}
	if names, n := e.has(); len(names) != 1 || n != 3 {
		t.Errorf("it has %v and %d layers", names, n)
	}
}

func TestNothingIsLeft(t *testing.T) {
	all := layers(t, 3)
	images := []*imageload.Image{image(t, "a:1", all[:2]...), image(t, "b:1", all[2])}
	whole := stream(t, images, all...)
	damaged := slices.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	for name, tc := range map[string]struct {
		text []byte
		full bool
		want string
	}{
		"a stream that ends in a layer":  {text: whole[:len(whole)/2], want: "unexpected EOF"},
		"one that ends between files":    {text: whole[:len(stream(t, images, all[0]))-len(stream(t, images))], want: "it ends early"},
		"one that ends before the names": {text: whole[:len(whole)-2048], want: "it ends early"},
		"one with a damaged layer":       {text: damaged, want: "invalid diffID"},
		"one that lacks a layer":         {text: stream(t, images, all[0], all[2]), want: "neither there nor in the stream"},
		"an engine without room":         {text: whole, full: true, want: "no space left on device"},
		"no tar file":                    {text: bytes.Repeat([]byte("x"), 2048), want: "reading the stream"},
		"an empty one":                   {text: make([]byte, 1024), want: "it ends early"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			e.full = tc.full
			err := into(t, e, tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("it says %v", err)
			}
			if names, n := e.has(); len(names) > 0 || n > 0 {
				t.Errorf("it has %v and %d layers", names, n)
			}
		})
	}
}

// The pipes of a process that was killed are opened by the next load, so that the
// engine does not wait for ever; those of one that lives are not.
func TestSweep(t *testing.T) {
	e, all := newEngine(t), layers(t, 1)
	s, err := e.begin(t.Context(), []imageload.Planned{{File: "a", DiffID: described(t, all[0]).DiffID}})
	if err != nil {
		t.Fatal(err)
	}
	for !s.found() {
		time.Sleep(poll)
	}
	old := time.Now().Add(-2 * orphanAge)
	if err := os.Chtimes(filepath.Join(s.dir, s.mark), old, old); err != nil {
		t.Fatal(err)
	}
	e.sweep()
	select {
	case err := <-s.said:
		t.Fatalf("a living load ends: %v", err)
	default:
	}
	s.lock.Close()
	for deadline := time.Now().Add(endTime); ; {
		e.sweep()
		select {
		case err := <-s.said:
			if err == nil {
				t.Error("a load of nothing is good")
			}
			return
		case <-time.After(poll):
		}
		if time.Now().After(deadline) {
			t.Fatal("the engine still waits")
		}
	}
}
