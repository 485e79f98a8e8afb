package offline

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/kluster-project/kluster/internal/failure"
)

const outputName = "suite-0123456789abcdef0123"

// bundle writes a bundle of two images that share layers, and of one output.
func bundle(tb testing.TB) (data []byte, images map[string]v1.Image) {
	tb.Helper()
	dir := tb.TempDir()
	var programs []string
	for _, name := range Programs {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("program "+name), 0o755); err != nil {
			tb.Fatal(err)
		}
		programs = append(programs, path)
	}
	output := filepath.Join(dir, "output")
	if err := errors.Join(os.MkdirAll(filepath.Join(output, "sub"), 0o755),
		os.WriteFile(filepath.Join(output, "run"), bytes.Repeat([]byte("program "), 1000), 0o755),
		os.WriteFile(filepath.Join(output, "sub", ".text"), []byte("text"), 0o644)); err != nil {
		tb.Fatal(err)
	}
	img, err := random.Image(1000, 2)
	if err != nil {
		tb.Fatal(err)
	}
	images = map[string]v1.Image{"kluster/node:a": img, "kluster/node:b": img}
	var out bytes.Buffer
	w, err := NewWriter(&out, dir, Contents{Kluster: "v1", Arch: "amd64", Go: []string{"go1.99.0"}, Images: []string{"kluster/node:a", "kluster/node:b"}, Outputs: []string{outputName}}, programs)
	if err != nil {
		tb.Fatal(err)
	}
	for _, ref := range []string{"kluster/node:a", "kluster/node:b"} {
		writeImage(tb, w, ref, images[ref])
	}
	if err := errors.Join(w.Output(outputName, output, nil), w.Close()); err != nil {
		tb.Fatal(err)
	}
	if w.Size() != int64(out.Len()) {
		tb.Errorf("%d bytes were written, it says %d", out.Len(), w.Size())
	}
	left, err := filepath.Glob(filepath.Join(dir, "bundle-*"))
	if err != nil || len(left) > 0 {
		tb.Errorf("temporary files are left: %v %v", left, err)
	}
	return out.Bytes(), images
}

func writeImage(tb testing.TB, w *Writer, ref string, img v1.Image) {
	tb.Helper()
	layers, err := img.Layers()
	if err != nil {
		tb.Fatal(err)
	}
	for _, l := range layers {
		id, err := l.DiffID()
		if err != nil {
			tb.Fatal(err)
		}
		r, err := l.Uncompressed()
		if err != nil {
			tb.Fatal(err)
		}
		if err := w.Layer(id.String(), r); err != nil {
			tb.Fatal(err)
		}
	}
	config, err := img.RawConfigFile()
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.Image(ref, config); err != nil {
		tb.Fatal(err)
	}
}

// read opens and verifies a bundle.
func read(data []byte) (*Bundle, error) {
	b, err := Open(bytes.NewReader(data), int64(len(data)))
	if err == nil {
		err = b.Verify(context.Background(), nil)
	}
	return b, err
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	data, images := bundle(t)
	b, err := read(data)
	if err != nil {
		t.Fatal(err)
	}
	if b.Kluster != "v1" || b.Format != Format || len(b.Images) != 2 || len(b.Outputs) != 1 {
		t.Errorf("%+v", b.Contents)
	}
	for _, img := range b.Images {
		checkLayers(t, img)
		want, err := images[img.Ref].ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := img.ConfigName(); got != want || err != nil {
			t.Errorf("%s is image %s and not %s: %v", img.Ref, got, want, err)
		}
	}
	dir := t.TempDir()
	if err := b.Outputs[0].Unpack(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	got := map[string]fs.FileMode{}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		rel, _ := filepath.Rel(dir, path)
		got[rel] = info.Mode()
		return err
	})
	if diff := cmp.Diff(map[string]fs.FileMode{"run": 0o755, "sub/.text": 0o644}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "run")); len(text) != 8000 || err != nil {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// checkLayers reads the layers of an image.
func checkLayers(t *testing.T, img Image) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 2 {
		t.Fatalf("%s: layers %v, %v", img.Ref, layers, err)
	}
	for _, l := range layers {
		want, err := l.DiffID()
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		got, n, err := v1.SHA256(r)
		if got != want || err != nil {
			t.Errorf("%s: layer %s is %s: %v", img.Ref, want, got, err)
		}
		if size, err := partial.UncompressedSize(l); size != n || err != nil {
			t.Errorf("%s: layer %s has %d bytes, not %d: %v", img.Ref, want, n, size, err)
		}
	}
}

// members are those of a tar archive, in order.
func members(tb testing.TB, data []byte) (names []string, content map[string][]byte) {
	tb.Helper()
	content = map[string][]byte{}
	for tr := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names, content
		}
		if err != nil {
			tb.Fatal(err)
		}
		names = append(names, h.Name)
		if content[h.Name], err = io.ReadAll(tr); err != nil {
			tb.Fatal(err)
		}
	}
}

// repack makes a bundle of changed members, with sums that fit.
func repack(tb testing.TB, names []string, content map[string][]byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	var sums strings.Builder
	tw := tar.NewWriter(&out)
	for _, name := range names {
		data := content[name]
		if name == sumsFile {
			data = []byte(sums.String())
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			tb.Fatal(err)
		}
		if _, err := tw.Write(data); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func TestEachLayerIsInItOnce(t *testing.T) {
	data, _ := bundle(t)
	names, _ := members(t, data)
	blobs := 0
	for _, name := range names {
		if strings.HasPrefix(name, "blobs/") {
			blobs++
		}
	}
	// Two layers, a configuration and a manifest; an empty configuration, two files and a manifest.
	if blobs != 8 {
		t.Errorf("%d blobs: %q", blobs, names)
	}
}

func TestDamageIsFound(t *testing.T) {
	data, _ := bundle(t)
	_, content := members(t, data)
	end := bytes.Index(data, content[sumsFile]) + len(content[sumsFile]) // what follows is empty
	for cut := 0; cut < end; cut += 97 {
		if _, err := read(data[:cut]); err == nil {
			t.Fatalf("cut off after %d of %d bytes, and read", cut, len(data))
		}
	}
	for name := range content {
		at := bytes.Index(data, content[name])
		for _, offset := range []int{0, len(content[name]) / 2, len(content[name]) - 1} {
			bad := bytes.Clone(data)
			bad[at+offset] ^= 1
			if _, err := read(bad); err == nil {
				t.Errorf("%s is damaged at %d, and was read", name, offset)
			}
		}
	}
}

func TestADamagedBundleSaysWhatToDo(t *testing.T) {
	data, _ := bundle(t)
	_, err := read(data[:len(data)/2])
	var damage *DamagedError
	if !errors.As(err, &damage) || failure.Code(err) != failure.CodeUsage || len(failure.Hints(err)) == 0 {
		t.Errorf("err = %v, code %d, hints %q", err, failure.Code(err), failure.Hints(err))
	}
}

func TestOthersFilesAreRefused(t *testing.T) {
	data, _ := bundle(t)
	names, content := members(t, data)
	change := func(member, from, to string) []byte {
		changed := map[string][]byte{}
		for name, text := range content {
			changed[name] = text
		}
		changed[member] = bytes.ReplaceAll(content[member], []byte(from), []byte(to))
		if bytes.Equal(changed[member], content[member]) {
			t.Fatalf("%s has no %q", member, from)
		}
		return repack(t, names, changed)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(content[indexFile], &index); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"empty":            {nil, "no bundle of kluster: it is empty"},
		"text":             {bytes.Repeat([]byte("text "), 1000), "no bundle of kluster: it is no tar archive"},
		"another tar":      {repack(t, []string{"a", sumsFile}, map[string][]byte{"a": nil}), `no bundle of kluster: it begins with "a"`},
		"newer":            {change(contentsFile, `"format": 1`, `"format": 2`), "has format 2, and this kluster reads 1"},
		"no format":        {change(contentsFile, `"format": 1`, `"format": 0`), "no bundle of kluster"},
		"a name twice":     {repack(t, append([]string{names[0], "x", "x"}, names[1:]...), content), "x is in it twice"},
		"more than listed": {repack(t, append(names, "x"), content), "does not name x"},
		"an output's name": {change(indexFile, outputName, "../../0123456789abcdef0123"), "no name of an output"},
	} {
		_, err := read(c.data)
		if err == nil || !strings.Contains(err.Error(), c.says) || failure.Code(err) != failure.CodeUsage {
			t.Errorf("%s: err = %v, code %d", name, err, failure.Code(err))
		}
	}
}

func TestFilesStayInTheirFolder(t *testing.T) {
	dir := t.TempDir()
	for _, title := range []string{"../x", "/etc/x", "", "a/../../x"} {
		b := &Bundle{members: map[string]member{}}
		m := &v1.Manifest{Layers: []v1.Descriptor{{Annotations: map[string]string{titleKey: title, modeKey: "644", sizeKey: "0"}}}}
		if err := b.addOutput(outputName, m); err == nil {
			t.Errorf("%q was taken", title)
		}
	}
	for _, mode := range []string{"4755", "x", "-1"} {
		b := &Bundle{members: map[string]member{}}
		m := &v1.Manifest{Layers: []v1.Descriptor{{Annotations: map[string]string{titleKey: "x", modeKey: mode, sizeKey: "0"}}}}
		if err := b.addOutput(outputName, m); err == nil {
			t.Errorf("mode %q was taken", mode)
		}
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Error(left, err)
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	data, _ := bundle(t)
	b, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(failure.ErrInterrupted)
	if err := b.Verify(ctx, nil); !errors.Is(err, failure.ErrInterrupted) {
		t.Errorf("err = %v", err)
	}
}

func TestALayerMustBeWhatItIsCalled(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, t.TempDir(), Contents{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Layer("sha256:"+strings.Repeat("0", 64), strings.NewReader("x")); err == nil {
		t.Error("a layer with another digest was written")
	}
}

func FuzzOpen(f *testing.F) {
	data, _ := bundle(f)
	f.Add(data)
	f.Add(data[:1500])
	names, content := members(f, data)
	f.Add(repack(f, names[:3], content))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := read(data)
		if err != nil {
			return
		}
		for _, out := range b.Outputs {
			for _, file := range out.files {
				if !filepath.IsLocal(file.title) {
					t.Errorf("file %q", file.title)
				}
			}
		}
	})
}
