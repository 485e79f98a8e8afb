package providertest

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/opencontainers/go-digest"

	"github.com/kluster-project/kluster/internal/pieces"
	"github.com/kluster-project/kluster/provider"
)

// TestReadImage reads some layers of an image that has one of them twice.
func (s *suite) TestReadImage(t *testing.T) {
	img := s.image
	for _, name := range []string{"data/one", "data/two", "data/one"} {
		layer, err := Layer(File{tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg}, []byte(s.prefix + name)})
		if err == nil {
			img, err = mutate.AppendLayers(img, layer)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ref := s.prefix + "read:1"
	if err := s.p.LoadImage(t.Context(), ref, img, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.p.RemoveImage(context.WithoutCancel(t.Context()), ref); err != nil {
			t.Error(err)
		}
	})
	held, err := s.p.Image(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if held.OS != config.OS || held.Arch != config.Architecture || len(held.DiffIDs) != 4 || held.DiffIDs[1] != held.DiffIDs[3] {
		t.Errorf("got %+v", held)
	}
	var got []string
	wanted := map[string]bool{held.DiffIDs[0]: true, held.DiffIDs[1]: true}
	content, err := s.p.ReadImage(t.Context(), ref, wanted, func(l provider.ImageLayer, r io.Reader) error {
		got = append(got, l.DiffID)
		sum := digest.Canonical.Digester()
		n, err := io.Copy(sum.Hash(), r)
		if n != l.Size || sum.Digest().String() != l.Digest {
			t.Errorf("read %d bytes with the digest %s of %+v", n, sum.Digest(), l)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !wanted[got[0]] || !wanted[got[1]] || got[0] == got[1] {
		t.Errorf("read layers %q of %q", got, held.DiffIDs)
	}
	if id := digest.FromBytes(content.Config).String(); id != held.ID {
		t.Errorf("the configuration has the digest %s, the image is %s", id, held.ID)
	}
	var all []string
	for _, l := range content.Layers {
		all = append(all, l.DiffID)
	}
	if diff := cmp.Diff(held.DiffIDs, all); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
	s.openImage(t, ref, content, wanted)
	_, err = s.p.ReadImage(t.Context(), s.prefix+"none:1", nil, nil)
	wantIs(t, err, provider.ErrNotFound)
}

// openImage reads the same from files, two at once, if there are any.
func (s *suite) openImage(t *testing.T, ref string, want provider.ImageContent, wanted map[string]bool) {
	t.Helper()
	opened, err := s.p.OpenImage(t.Context(), ref, wanted)
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, opened.Content()); diff != "" {
		t.Errorf("content (-read +opened):\n%s", diff)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for id := range wanted {
				sum := digest.Canonical.Digester()
				if _, err := io.Copy(sum.Hash(), pieces.NewReader(t.Context(), opened.Layer(t.Context(), id), nil)); err != nil || sum.Digest().String() != id {
					t.Errorf("layer %s has the digest %s, error %v", id, sum.Digest(), err)
				}
			}
		})
	}
	wg.Wait()
}
