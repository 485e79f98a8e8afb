package registry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var silent = slog.New(slog.DiscardHandler)

// folder is an OCI layout with an image under each name.
func folder(t *testing.T, names ...string) (string, []v1.Image) {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	var images []v1.Image
	for _, n := range names {
		img, err := random.Image(1000, 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := path.AppendImage(img, layout.WithAnnotations(map[string]string{nameKey: n})); err != nil {
			t.Fatal(err)
		}
		images = append(images, img)
	}
	return dir, images
}

// serve gives the address of a registry with the images of a layout.
func serve(t *testing.T, dir string) string {
	t.Helper()
	h, err := Handler(dir, silent)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestImagesCanBePulled(t *testing.T) {
	names := []string{"registry.example/a/kitten:1.8", "registry.example/pause:3"}
	dir, images := folder(t, names...)
	addr := serve(t, dir)
	for i, path := range []string{"a/kitten:1.8", "pause:3"} {
		ref, err := name.ParseReference(addr + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Image(ref, remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(got); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		want, err := images[i].Digest()
		if err != nil {
			t.Fatal(err)
		}
		if digest, err := got.Digest(); err != nil || digest != want {
			t.Errorf("%s: digest %s, %v; want %s", path, digest, err, want)
		}
		byDigest, err := name.ParseReference(addr + "/" + ref.Context().RepositoryStr() + "@" + want.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Head(byDigest, remote.WithContext(t.Context())); err != nil {
			t.Errorf("%s by its digest: %v", path, err)
		}
	}
}

func TestOthersAreNotFound(t *testing.T) {
	dir, _ := folder(t, "registry.example/a/kitten:1.8")
	addr := serve(t, dir)
	for _, path := range []string{"a/kitten:1.9", "a/dog:1", "a/kitten@sha256:" + strings.Repeat("0", 64)} {
		ref, err := name.ParseReference(addr + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = remote.Image(ref, remote.WithContext(t.Context()))
		var said *transport.Error
		if !errors.As(err, &said) || said.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v", path, err)
		}
	}
	ref, err := name.NewDigest(addr + "/a/kitten@sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := remote.Layer(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := layer.Compressed(); err == nil {
		t.Error("there is a blob that no image has")
	}
}

func TestNothingCanBePushed(t *testing.T) {
	dir, _ := folder(t, "registry.example/a/kitten:1.8")
	addr := serve(t, dir)
	ref, err := name.ParseReference(addr + "/a/other:1")
	if err != nil {
		t.Fatal(err)
	}
	img, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	err = remote.Write(ref, img, remote.WithContext(t.Context()))
	if err == nil || !strings.Contains(err.Error(), "405") {
		t.Errorf("err = %v", err)
	}
}

func TestFoldersThatAreRefused(t *testing.T) {
	for says, spoil := range map[string]func(t *testing.T, dir string){
		"index.json: no such file": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, "index.json")); err != nil {
				t.Fatal(err)
			}
		},
		"invalid character": func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, "index.json"), "what?")
		},
		"lists none": func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, "index.json"), `{"schemaVersion":2,"manifests":[]}`)
		},
		"no such file or directory": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.RemoveAll(filepath.Join(dir, "blobs")); err != nil {
				t.Fatal(err)
			}
		},
		"its manifest has the digest": func(t *testing.T, dir string) {
			t.Helper()
			files, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				write(t, f, "{}")
			}
		},
	} {
		t.Run(says, func(t *testing.T) {
			dir, _ := folder(t, "registry.example/a/kitten:1.8")
			spoil(t, dir)
			if _, err := Handler(dir, silent); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("err = %v", err)
			}
		})
	}
	for says, names := range map[string][]string{
		"annotation io.containerd.image.name": {""},
		"would have one name here":            {"one.example/a:1", "two.example/a:1"},
	} {
		dir, _ := folder(t, names...)
		if _, err := Handler(dir, silent); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: err = %v", names, err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestServeUntilToldToStop(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("err = %v", err)
	}
	if err := Serve(t.Context(), listener, nil); err == nil {
		t.Error("served on a closed listener")
	}
}

// FuzzIndex: whatever an index holds, it is served or refused.
func FuzzIndex(f *testing.F) {
	for _, text := range []string{
		``, `{}`, `{"manifests":[{}]}`, `{"schemaVersion":2,"manifests":[{"digest":"sha256:../..","annotations":{"io.containerd.image.name":"a:1"}}]}`,
		`{"manifests":[{"mediaType":"x","digest":"sha256:` + strings.Repeat("0", 64) + `","annotations":{"io.containerd.image.name":"r.example/a:1"}}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, index []byte) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "index.json"), string(index))
		h, err := Handler(dir, silent)
		if (h == nil) == (err == nil) {
			t.Errorf("handler %v, error %v", h, err)
		}
	})
}
