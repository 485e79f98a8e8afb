package harness

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"slices"
	"strings"
	"testing"
)

// archived is a tar of files, "NAME" to text.
func archived(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o600, Size: int64(len(f[1])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestLayerKeys: a key is found in each layer, also when a later one deletes it.
func TestLayerKeys(t *testing.T) {
	const key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n"
	first := archived(t,
		[2]string{"opt/planted", key}, [2]string{"etc/deep", strings.Repeat("x", 3<<20-20) + "\n" + key},
		[2]string{"bin/program", "says -----BEGIN RSA PRIVATE KEY-----\n"}, [2]string{"bin/other", "-----BEGIN %s PRIVATE KEY-----\n-----BEGIN PUBLIC KEY-----\n"},
		[2]string{"etc/empty", ""}, [2]string{"etc/short", "-----BEGIN PRIVATE KEY-----"},
	)
	second := archived(t, [2]string{"opt/.wh.planted", ""})
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(archived(t, [2]string{"root/packed", "# mine\n" + key})); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	saved := archived(t,
		[2]string{"manifest.json", `[{"Layers": []}]`}, [2]string{"abc/layer.tar", string(first)},
		[2]string{"def/layer.tar", string(second)}, [2]string{"blobs/sha256/0", packed.String()},
	)
	found, err := layerKeys(bytes.NewReader(saved))
	if want := []string{"/etc/deep", "/etc/short", "/opt/planted", "/root/packed"}; err != nil || !slices.Equal(found, want) {
		t.Errorf("found %q, %v, want %q", found, err, want)
	}
	for at := range 200 { // wherever it lies between two reads
		if has, err := hasKey(strings.NewReader(strings.Repeat("x", 1<<20-100+at) + "\n" + key)); !has || err != nil {
			t.Fatalf("at %d: %v", at, err)
		}
	}
	if _, err := layerKeys(bytes.NewReader(archived(t, [2]string{"manifest.json", "[]"}))); err == nil {
		t.Error("an image without layers has none with keys")
	}
	if _, err := layerKeys(bytes.NewReader(saved[:len(first)])); err == nil {
		t.Error("half an image is taken for one")
	}
}
