package providertest

import (
	"archive/tar"
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/opencontainers/go-digest"

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
	_, err = s.p.ReadImage(t.Context(), s.prefix+"none:1", nil, nil)
	wantIs(t, err, provider.ErrNotFound)
}
