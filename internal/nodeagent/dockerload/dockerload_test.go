package dockerload

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	configDigest   = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	manifestDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	layerDigest    = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
)

// layout is an OCI layout of one image.
func layout() map[string]string {
	return map[string]string{
		"oci-layout": `{"imageLayoutVersion":"1.0.0"}`,
		"index.json": `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"` + manifestDigest +
			`","annotations":{"io.containerd.image.name":"example.com/a:1"}}]}`,
		name(manifestDigest): `{"schemaVersion":2,"config":{"digest":"` + configDigest + `"},"layers":[{"digest":"` + layerDigest + `"}]}`,
		name(configDigest):   "{}",
		name(layerDigest):    "layer",
	}
}

func name(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

func archive(t *testing.T, files map[string]string) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: "./" + name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

// engine is a Docker Engine that answers in one way.
type engine struct {
	code   int
	answer string
	got    map[string]string // the files it was given
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.got = map[string]string{}
	for tr := tar.NewReader(r.Body); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text, _ := io.ReadAll(tr)
		e.got[h.Name] = string(text)
	}
	w.WriteHeader(e.code)
	_, _ = io.WriteString(w, e.answer)
}

func (e *engine) start(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: e}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return socket
}

func TestLoadGivesALayoutWhatDockerAsksFor(t *testing.T) {
	e := &engine{code: http.StatusOK, answer: `{"stream":"Loaded image: example.com/a:1\n"}`}
	dir := t.TempDir()
	if err := Load(t.Context(), e.start(t), dir, archive(t, layout())); err != nil {
		t.Fatal(err)
	}
	var got []entry
	if err := json.Unmarshal([]byte(e.got["manifest.json"]), &got); err != nil {
		t.Fatal(err)
	}
	want := []entry{{Config: name(configDigest), RepoTags: []string{"example.com/a:1"}, Layers: []string{name(layerDigest)}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e.got[name(layerDigest)] != "layer" {
		t.Errorf("the engine was given %v", e.got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLoadPassesOnAnArchiveOfDockers(t *testing.T) {
	e := &engine{code: http.StatusOK}
	files := layout()
	files["manifest.json"] = "[]"
	if err := Load(t.Context(), e.start(t), t.TempDir(), archive(t, files)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, e.got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadFails(t *testing.T) {
	unnamed := layout()
	unnamed["index.json"] = strings.Replace(unnamed["index.json"], "io.containerd.image.name", "other", 1)
	for _, tc := range []struct {
		name  string
		files map[string]string
		e     engine
		want  string
	}{
		{"no images", map[string]string{"README": "x"}, engine{code: http.StatusOK}, "neither"},
		{"no name", unnamed, engine{code: http.StatusOK}, "has no name"},
		{"refused at once", layout(), engine{code: http.StatusInternalServerError, answer: `{"message":"disk full"}`}, "disk full"},
		{"refused later", layout(), engine{code: http.StatusOK, answer: `{"stream":"x"}{"error":"bad layer"}`}, "bad layer"},
		{"no words", layout(), engine{code: http.StatusBadGateway}, "502"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Load(t.Context(), tc.e.start(t), t.TempDir(), archive(t, tc.files))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("err = %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestLoadWithoutEngine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := Load(ctx, filepath.Join(t.TempDir(), "none"), t.TempDir(), archive(t, layout())); err == nil {
		t.Error("loaded into nothing")
	}
}
