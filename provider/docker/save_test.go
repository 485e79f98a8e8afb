package docker

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/kluster-project/kluster/provider"
)

func sha(text string) string { return digest.FromString(text).String() }

func hexOf(text string) string { return strings.TrimPrefix(sha(text), "sha256:") }

// reading is an image of the layers one, two and three, which is being saved.
func reading(wanted ...string) (*saved, map[string]string) {
	got := map[string]string{}
	s := &saved{
		id: sha("{}"), diffIDs: []string{sha("one"), sha("two"), sha("three")}, wanted: map[string]bool{},
		files: map[string]provider.ImageLayer{}, read: map[string]provider.ImageLayer{},
	}
	for _, w := range wanted {
		s.wanted[sha(w)] = true
	}
	s.put = func(l provider.ImageLayer, r io.Reader) error {
		data, err := io.ReadAll(r)
		got[l.DiffID] = string(data)
		return err
	}
	return s, got
}

func (s *saved) take(t *testing.T, files [][2]string) error {
	t.Helper()
	for _, f := range files {
		if err := s.file(&tar.Header{Name: f[0], Size: int64(len(f[1]))}, strings.NewReader(f[1])); err != nil {
			return err
		}
	}
	return nil
}

// legacyArchive is what Engine 20.10 saves; created is as it writes "no time", which is
// in the zone of its machine.
func legacyArchive(t *testing.T, created string) [][2]string {
	t.Helper()
	files, below, chain := map[string]string{}, "", ""
	for i, text := range []string{"one", "two", "three"} {
		chain = chainID(chain, sha(text))
		fields := map[string]any{"created": created, "container_config": json.RawMessage(`{"Hostname":"","Cmd":null}`)}
		if i == 2 {
			fields["created"], fields["config"], fields["os"] = "2026-01-01T00:00:00Z", json.RawMessage(`{"Cmd":["x"]}`), "linux"
		}
		fields["layer_id"] = chain
		if below != "" {
			fields["parent"] = below
		}
		named, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		id := digest.FromBytes(named).Encoded()
		delete(fields, "layer_id")
		delete(fields, "parent")
		if below != "" {
			fields["parent"] = strings.TrimPrefix(below, "sha256:")
		}
		fields["id"], fields["os"] = id, "linux"
		written, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		files[path.Join(id, "json")], files[path.Join(id, "layer.tar")] = string(written), text
		below = "sha256:" + id
	}
	files[hexOf("{}")+".json"] = "{}"
	files["manifest.json"], files["repositories"] = "[]", "{}"
	var all [][2]string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		all = append(all, [2]string{name, files[name]})
	}
	return all
}

func TestReadImage(t *testing.T) {
	for name, files := range map[string][][2]string{
		"engine 20.10":              legacyArchive(t, "1970-01-01T00:00:00Z"),
		"engine 20.10, other zone":  legacyArchive(t, "1970-01-01T01:00:00+01:00"),
		"engine 25 and the classic": {{"blobs/sha256/" + hexOf("two"), "two"}, {"blobs/sha256/" + hexOf("{}"), "{}"}, {"blobs/sha256/" + hexOf("one"), "one"}, {"blobs/sha256/" + hexOf("three"), "three"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, got := reading("three", "two")
			if err := s.take(t, files); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]string{sha("two"): "two", sha("three"): "three"}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			content, err := s.content()
			if err != nil {
				t.Fatal(err)
			}
			want := provider.ImageContent{Config: []byte("{}"), Layers: []provider.ImageLayer{
				{DiffID: sha("one"), Digest: sha("one"), Size: 3},
				{DiffID: sha("two"), Digest: sha("two"), Size: 3},
				{DiffID: sha("three"), Digest: sha("three"), Size: 5},
			}}
			if diff := cmp.Diff(want, content); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadImageOfTheContainerdStore(t *testing.T) {
	config := `{"rootfs":{"diff_ids":["` + sha("one") + `","` + sha("two") + `","` + sha("three") + `"]}}`
	manifest := `{"config":{"digest":"` + sha(config) + `"},"layers":[{"mediaType":"x.tar.gzip","digest":"` + sha("1") + `"},{"digest":"` + sha("2") + `"},{"digest":"` + sha("3") + `"}]}`
	var files [][2]string
	for _, text := range []string{"1", "2", "3", config, manifest} {
		files = append(files, [2]string{"blobs/sha256/" + hexOf(text), text})
	}
	s, got := reading("one")
	for _, f := range files {
		if err := s.learn(&tar.Header{Name: f[0], Size: int64(len(f[1]))}, strings.NewReader(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.learned(), s.take(t, files)); err != nil {
		t.Fatal(err)
	}
	content, err := s.content()
	if err != nil || string(content.Config) != config || content.Layers[0] != (provider.ImageLayer{DiffID: sha("one"), Digest: sha("1"), Size: 1, Compressed: true}) {
		t.Errorf("got %+v, %v", content, err)
	}
	if diff := cmp.Diff(map[string]string{sha("one"): "1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	empty, _ := reading()
	if err := empty.learned(); err == nil {
		t.Error("found a manifest in nothing")
	}
}

func TestReadImageThatIsNotAsSaid(t *testing.T) {
	s, _ := reading("one")
	if err := s.take(t, [][2]string{{"x/json", "{}"}, {"x/layer.tar", "not three"}}); err != nil {
		t.Fatal(err) // the uppermost one, which is not wanted
	}
	if _, err := s.content(); err == nil || !strings.Contains(err.Error(), "no configuration") {
		t.Errorf("without a configuration: %v", err)
	}
	s.config = []byte("{}")
	if _, err := s.content(); err == nil || !strings.Contains(err.Error(), "lacks its layer") {
		t.Errorf("without layers: %v", err)
	}
	s, _ = reading("three")
	if err := s.take(t, [][2]string{{"x/json", "{}"}, {"x/layer.tar", "not three"}}); err == nil || !strings.Contains(err.Error(), "another digest") {
		t.Errorf("another layer: %v", err)
	}
	if err := s.take(t, [][2]string{{"y/json", "["}}); err == nil {
		t.Error("took a folder that is described by nothing")
	}
}
