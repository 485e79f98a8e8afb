package imageload

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/opencontainers/go-digest"

	"github.com/kluster-project/kluster/internal/pieces"
)

var amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}

// imageOf is an image of random layers for a platform.
func imageOf(t *testing.T, layers int64, arch string) v1.Image {
	t.Helper()
	img, err := random.Image(300, layers)
	if err != nil {
		t.Fatal(err)
	}
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

// tarOf writes files as a tar file; a value "-> X" is a link to X.
func tarOf(t *testing.T, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name]))}
		to, link := strings.CutPrefix(files[name], "-> ")
		if link {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, to, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if link {
			continue
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, out.Bytes())
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.tar")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sha(text string) string { return digest.FromString(text).String() }

// saved is what engines before 25 save: one layer twice, the second time as a link.
func saved(t *testing.T) map[string]string {
	t.Helper()
	config := `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + sha("one") + `","` + sha("two") + `","` + sha("one") + `"]}}`
	return map[string]string{
		"c.json": config, "a/layer.tar": "one", "b/layer.tar": "two", "d/layer.tar": "-> ../a/layer.tar",
		"manifest.json": `[{"Config":"c.json","RepoTags":["app:1","r.example/app:2"],"Layers":["a/layer.tar","b/layer.tar","d/layer.tar"]}]`,
	}
}

// read gives the content of layers by digest.
func read(t *testing.T, s Source, wanted map[v1.Hash]bool) (map[string]string, error) {
	t.Helper()
	got := map[string]string{}
	err := s.Read(t.Context(), wanted, func(l Layer, r io.Reader) error {
		if _, twice := got[l.Digest.String()]; twice {
			t.Errorf("layer %s was given twice", l.Digest)
		}
		data, err := io.ReadAll(r)
		got[l.Digest.String()] = string(data)
		return err
	})
	return got, err
}

func all(s Source) map[v1.Hash]bool { return Held{}.Missing(s.Images()) }

func TestArchiveOfAnEngine(t *testing.T) {
	plain := tarOf(t, saved(t))
	data, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"plain": plain, "gzip": write(t, zipped(t, data))} {
		t.Run(name, func(t *testing.T) {
			s, err := Archive(t.Context(), file, "", amd64)
			if err != nil {
				t.Fatal(err)
			}
			img := s.Images()[0]
			if diff := cmp.Diff([]string{"docker.io/library/app:1", "r.example/app:2"}, img.Names); diff != "" {
				t.Error(diff)
			}
			got, err := read(t, s, all(s))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]string{sha("one"): "one", sha("two"): "two"}, got); diff != "" {
				t.Error(diff)
			}
			if n, known := Bytes(s.Images(), all(s)); n != 6 || !known {
				t.Errorf("%d bytes, %v", n, known)
			}
		})
	}
}

func TestArchiveWithCompressedLayers(t *testing.T) {
	files := saved(t)
	packed := string(zipped(t, []byte("one")))
	files["a/layer.tar"] = packed
	s, err := Archive(t.Context(), tarOf(t, files), "", amd64)
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(t, s, all(s))
	if diff := cmp.Diff(map[string]string{sha(packed): packed, sha("two"): "two"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if s.Images()[0].Layers[0].DiffID.String() != sha("one") {
		t.Errorf("layers %v", s.Images()[0].Layers)
	}
}

// An index of images for two platforms, beside an attestation, without a name.
func layoutOf(t *testing.T, archs ...string) string {
	t.Helper()
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: imageOf(t, 1, "unknown"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}},
	})
	for _, arch := range archs {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: imageOf(t, 2, arch), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{tagKey: "latest"})); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLayout(t *testing.T) {
	dir := layoutOf(t, "arm64", "amd64")
	s, err := Layout(t.Context(), dir, "app:dev", amd64)
	if err != nil {
		t.Fatal(err)
	}
	img := s.Images()[0]
	config, err := parseConfig(img.Config)
	if err != nil || config.Architecture != "amd64" || len(s.Images()) != 1 || img.Names[0] != "docker.io/library/app:dev" {
		t.Errorf("got %s %v, %v", config.Architecture, img.Names, err)
	}
	if got, err := read(t, s, all(s)); len(got) != 2 || err != nil {
		t.Errorf("%d layers, %v", len(got), err)
	}
	if _, err := Layout(t.Context(), dir, "", amd64); err == nil || !strings.Contains(err.Error(), "--name") {
		t.Errorf("without a name: %v", err)
	}
	var wrong *PlatformError
	_, err = Layout(t.Context(), layoutOf(t, "arm64", "s390x"), "app:dev", amd64)
	if !errors.As(err, &wrong) || !slices.Equal(wrong.Have, []string{"linux/arm64", "linux/s390x"}) || wrong.Hint() == "" {
		t.Errorf("wrong platform: %v", err)
	}
}

func TestLayoutKeepsInsideOfItsFolder(t *testing.T) {
	dir := layoutOf(t, "amd64")
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs { // links to what they were, outside
		to := filepath.Join(t.TempDir(), "blob")
		if err := errors.Join(os.Rename(b, to), os.Symlink(to, b)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Layout(t.Context(), dir, "app:dev", amd64); err == nil {
		t.Error("read files outside of the folder")
	}
}

func TestHostileArchives(t *testing.T) {
	long := strings.Repeat(" ", maxText+1)
	for says, change := range map[string]func(files map[string]string){
		"it is not there":           func(f map[string]string) { delete(f, "b/layer.tar") },
		"its configuration: c.json": func(f map[string]string) { delete(f, "c.json") },
		"names 3": func(f map[string]string) {
			f["manifest.json"] = strings.Replace(f["manifest.json"], `,"d/layer.tar"`, "", 1)
		},
		"no name: give it one": func(f map[string]string) {
			f["manifest.json"] = strings.Replace(f["manifest.json"], `"app:1","r.example/app:2"`, "", 1)
		},
		"is no name of an image": func(f map[string]string) {
			f["manifest.json"] = strings.Replace(f["manifest.json"], "app:1", "../..", 1)
		},
		"is for linux/arm64":           func(f map[string]string) { f["c.json"] = strings.Replace(f["c.json"], "amd64", "arm64", 1) },
		"which is too long":            func(f map[string]string) { f["c.json"] += long },
		"neither an OCI layout":        func(f map[string]string) { delete(f, "manifest.json") },
		"manifest.json":                func(f map[string]string) { f["manifest.json"] = "{" },
		"it holds no image":            func(f map[string]string) { f["manifest.json"] = "[]" },
		"compressed with zstd":         func(f map[string]string) { f["a/layer.tar"] = "\x28\xb5\x2f\xfd..." },
		"index.json":                   func(f map[string]string) { f["index.json"] = "{" },
		"unexpected EOF":               func(f map[string]string) { f["index.json"] = "" },
		"reading its configuration":    func(f map[string]string) { f["c.json"] = strings.Replace(f["c.json"], sha("two"), "sha256:../../x", 1) },
		"d/layer.tar: it is not there": func(f map[string]string) { f["d/layer.tar"] = "-> ../d/layer.tar" },
	} {
		files := saved(t)
		change(files)
		if _, err := Archive(t.Context(), tarOf(t, files), "", amd64); err == nil || !strings.Contains(err.Error(), says) {
			if says == "unexpected EOF" && err != nil {
				continue // whatever the words
			}
			t.Errorf("%q: err = %v", says, err)
		}
	}
	files := saved(t)
	files["b/layer.tar"] = "not two"
	s, err := Archive(t.Context(), tarOf(t, files), "", amd64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, s, all(s)); !errors.Is(err, errDigest) {
		t.Errorf("a layer that is not what it should be: %v", err)
	}
}

func TestMissing(t *testing.T) {
	img, err := New("app:1", sha("config"), []string{sha("1"), sha("2"), sha("3")})
	if err != nil {
		t.Fatal(err)
	}
	two := Chain(Chain("", img.Layers[0].DiffID), img.Layers[1].DiffID)
	name := img.Names[0]
	for what, tc := range map[string]struct {
		held Held
		want []int
	}{
		"nothing":                   {Held{}, []int{0, 1, 2}},
		"a chain":                   {Held{Chains: map[string]bool{two: true}}, []int{2}},
		"a layer over others":       {Held{Chains: map[string]bool{sha("2"): true}}, []int{0, 1, 2}},
		"a blob":                    {Held{Blobs: map[string]bool{sha("2"): true}}, []int{0, 2}},
		"both":                      {Held{Chains: map[string]bool{two: true}, Blobs: map[string]bool{sha("3"): true}}, nil},
		"the image":                 {Held{Names: map[string]string{name: sha("config")}}, nil},
		"another image of the name": {Held{Names: map[string]string{name: sha("other")}}, []int{0, 1, 2}},
	} {
		want := map[v1.Hash]bool{}
		for _, i := range tc.want {
			want[img.Layers[i].DiffID] = true
		}
		if diff := cmp.Diff(want, tc.held.Missing([]*Image{img})); diff != "" {
			t.Errorf("a node with %s lacks (-want +got):\n%s", what, diff)
		}
	}
}

func TestParseHeld(t *testing.T) {
	text := "chain " + sha("1") + "\nchain *\nblob " + sha("2") + "\nblob x\nfree 12\nnoise\nimages\n" +
		`{"images":[{"id":"` + sha("c") + `","repoTags":["docker.io/library/app:1"]},{"id":"` + sha("d")[7:] + `","repoTags":["localhost/b:1"]},{"id":"e","repoTags":[]}]}`
	got, err := ParseHeld(text)
	if err != nil {
		t.Fatal(err)
	}
	want := Held{
		Chains: map[string]bool{sha("1"): true}, Blobs: map[string]bool{sha("2"): true}, Free: 12,
		Names: map[string]string{"docker.io/library/app:1": sha("c"), "localhost/b:1": sha("d")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "free 12\n", "images\n", "images\n{"} {
		if _, err := ParseHeld(bad); err == nil {
			t.Errorf("%q was taken for an answer", bad)
		}
	}
}

// The stream is an archive that this package reads, and whole only at its end.
func TestStream(t *testing.T) {
	s, err := Archive(t.Context(), tarOf(t, saved(t)), "", amd64)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := NewStream(&out, nil)
	err = s.Read(t.Context(), all(s), func(l Layer, r io.Reader) error {
		to, err := w.Layer(l)
		if err != nil {
			return err
		}
		_, err = io.Copy(to, r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := out.Len()
	if err := w.Close(s.Images()); err != nil {
		t.Fatal(err)
	}
	again, err := Archive(t.Context(), write(t, out.Bytes()), "", amd64)
	if err != nil {
		t.Fatal(err)
	}
	got, want := again.Images()[0], s.Images()[0]
	if got.ID != want.ID || !slices.Equal(got.Names, want.Names) || len(got.Layers) != 3 {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, cut := range []int{before, out.Len() - 4096} {
		if _, err := Archive(t.Context(), write(t, out.Bytes()[:cut]), "", amd64); err == nil {
			t.Errorf("a stream of %d bytes, of %d, was taken for a whole one", cut, out.Len())
		}
	}
}

// Several read the layers at once, each the same as one who reads alone.
func TestOpen(t *testing.T) {
	plain := tarOf(t, saved(t))
	dir := layoutOf(t, "amd64")
	for name, open := range map[string]func() (Source, error){
		"an archive": func() (Source, error) { return Archive(t.Context(), plain, "", amd64) },
		"a layout":   func() (Source, error) { return Layout(t.Context(), dir, "app:dev", amd64) },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := open()
			if err != nil {
				t.Fatal(err)
			}
			o, err := s.(Opener).Open(t.Context(), all(s))
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			want, err := read(t, s, all(s))
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					text, err := io.ReadAll(pieces.NewReader(t.Context(), Pieces(t.Context(), s.Images(), all(s), o), nil))
					if err != nil {
						t.Error(err)
					}
					if diff := cmp.Diff(want, layersIn(t, text)); diff != "" {
						t.Error(diff)
					}
				})
			}
			wg.Wait()
		})
	}
}

// layersIn are the layers of a stream by digest. It must be an archive to its end.
func layersIn(t *testing.T, text []byte) map[string]string {
	t.Helper()
	layers := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return layers
		}
		if err != nil {
			t.Error(err)
			return layers
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		if h.Uname == LayerMark {
			layers["sha256:"+path.Base(h.Name)] = string(data)
		}
	}
}

func TestOpenWhatIsReadOnce(t *testing.T) {
	data, err := os.ReadFile(tarOf(t, saved(t)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Archive(t.Context(), write(t, zipped(t, data)), "", amd64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.(Opener).Open(t.Context(), all(s)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("err = %v", err)
	}
}

// A layer that is not as long as was said ends the stream before it names anything.
func TestOpenedLayerOfAnotherSize(t *testing.T) {
	dir := layoutOf(t, "amd64")
	s, err := Layout(t.Context(), dir, "app:dev", amd64)
	if err != nil {
		t.Fatal(err)
	}
	l := s.Images()[0].Layers[0]
	for name, size := range map[string]int64{"shorter": l.Size - 1, "longer": l.Size + 1} {
		if err := os.Truncate(filepath.Join(dir, filepath.FromSlash(blob(l.Digest))), size); err != nil {
			t.Fatal(err)
		}
		o, err := s.(Opener).Open(t.Context(), all(s))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(pieces.NewReader(t.Context(), Pieces(t.Context(), s.Images(), all(s), o), nil))
		if !errors.Is(err, errDigest) || !strings.Contains(err.Error(), l.Digest.String()) || bytes.Contains(text, []byte(ManifestFile)) {
			t.Errorf("%s: %d bytes, err = %v", name, len(text), err)
		}
	}
}

// Whenever it is interrupted, a stream does not name images any more.
func TestPiecesInterrupted(t *testing.T) {
	s, err := Archive(t.Context(), tarOf(t, saved(t)), "", amd64)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.(Opener).Open(t.Context(), all(s))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	interrupted := errors.New("interrupted")
	for at := range 2 { // layers, each a piece
		ctx, end := context.WithCancelCause(t.Context())
		var last error
		files := 0
		for p, err := range Pieces(ctx, s.Images(), all(s), o) {
			if last = err; err == nil && p.File != nil {
				if files++; files == at+1 {
					end(interrupted)
				}
			}
			if bytes.Contains(p.Text, []byte(ManifestFile)) {
				t.Errorf("layer %d: the images were named", at)
			}
		}
		end(nil)
		if !errors.Is(last, interrupted) || files != at+1 {
			t.Errorf("layer %d: %d were read, err = %v", at, files, last)
		}
	}
}

// Parts of a file that an archive leaves out cannot be read from it.
func TestSparse(t *testing.T) {
	if !sparse(&tar.Header{Typeflag: tar.TypeReg, PAXRecords: map[string]string{"GNU.sparse.major": "1"}}) || sparse(&tar.Header{Typeflag: tar.TypeReg, PAXRecords: map[string]string{"mtime": "1"}}) {
		t.Error("what is sparse is not known")
	}
}

func TestWholeName(t *testing.T) {
	for name, want := range map[string]string{
		"app": "docker.io/library/app:latest", "a/b:1": "docker.io/a/b:1", "r.example:5000/a:1": "r.example:5000/a:1",
		"app@" + sha("x"): "", "": "", "App": "", sha("x"): "",
	} {
		if got, err := WholeName(name); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v", name, got, err)
		}
	}
}

func TestCheck(t *testing.T) {
	img, err := New("app:1", sha("config"), []string{sha("1")})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{img.Names[0]: sha("config")}
	for says, h := range map[string]Held{
		"":                {Names: names, Blobs: map[string]bool{sha("1"): true}},
		"does not have":   {},
		"there, not":      {Names: map[string]string{img.Names[0]: sha("other")}},
		"lacks its layer": {Names: names},
	} {
		err := h.Check([]*Image{img})
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: err = %v", says, err)
		}
	}
}

// FuzzArchive: whatever an archive says of its images, they are described or refused.
func FuzzArchive(f *testing.F) {
	config := `{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["` + sha("one") + `"]}}`
	f.Add(`[{"Config":"c.json","RepoTags":["app:1"],"Layers":["layer.tar"]}]`, config, "")
	f.Add(`[{"Config":"../c.json","Layers":["/"]}]`, "{}", `{"manifests":[{"digest":"`+sha("x")+`"}]}`)
	f.Add("", config, `{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"`+sha("")+`"}]}`)
	f.Fuzz(func(t *testing.T, manifest, config, index string) {
		files := map[string]string{"c.json": config, "layer.tar": "one", "blobs/sha256/" + sha(config)[7:]: config, "blobs/sha256/" + sha(index)[7:]: index}
		if manifest != "" {
			files[ManifestFile] = manifest
		}
		if index != "" {
			files[indexFile] = index
		}
		for name, text := range files {
			if strings.HasPrefix(text, "-> ") {
				delete(files, name)
			}
		}
		s, err := Archive(t.Context(), tarOf(t, files), "", amd64)
		if err != nil {
			return
		}
		for _, img := range s.Images() {
			if len(img.Names) == 0 || len(img.Config) == 0 {
				t.Errorf("image %+v", img)
			}
		}
		_, _ = read(t, s, all(s))
		if err := NewStream(io.Discard, nil).Close(s.Images()); err != nil {
			t.Error(err)
		}
	})
}

// FuzzHeld: whatever a node says, it is understood or refused.
func FuzzHeld(f *testing.F) {
	f.Add("chain " + sha("1") + "\nfree -1\nimages\n{}")
	f.Add("images\n" + `{"images":[{"id":"","repoTags":["","a@sha256:0"]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHeld(text)
		if err == nil && h.Free < -1 {
			t.Errorf("free %d", h.Free)
		}
		if _, err := json.Marshal(h); err != nil {
			t.Error(err)
		}
	})
}
