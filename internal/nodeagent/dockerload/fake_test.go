package dockerload

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/imageload"
)

// fakeEngine loads archives in the way of Docker Engine: unpacks all, opens the file of a
// layer that it lacks, names images last, and then forgets layers that no image has.
type fakeEngine struct {
	t *testing.T
	Engine
	// full: it has no disk for a layer.
	full bool

	mu     sync.Mutex
	layers map[string]int      // references, by chain ID
	names  map[string]string   // IDs of images
	opened []string            // diff IDs of layers whose files were opened
	before func(diffID string) // is called before a layer is looked for
}

func newEngine(t *testing.T) *fakeEngine {
	t.Helper()
	dir := t.TempDir()
	f := &fakeEngine{t: t, Engine: Engine{Socket: filepath.Join(dir, "s"), Temp: filepath.Join(dir, "tmp")}, layers: map[string]int{}, names: map[string]string{}}
	if err := os.Mkdir(f.Temp, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", f.Socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		if left, err := os.ReadDir(f.Temp); err != nil || len(left) > 0 {
			t.Errorf("the engine's temporary files: %v, %v", left, err)
		}
	})
	return f
}

func (f *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f.load(r.Body); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": err.Error()})
	}
}

func (f *fakeEngine) load(body io.Reader) error {
	dir, err := os.MkdirTemp(f.Temp, "docker-import-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := unpack(body, dir); err != nil {
		return err
	}
	var entries []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := readJSON(filepath.Join(dir, imageload.ManifestFile), &entries); err != nil {
		return err
	}
	var held []string
	defer func() { f.release(held) }()
	for _, e := range entries {
		var config v1.ConfigFile
		if err := readJSON(filepath.Join(dir, e.Config), &config); err != nil {
			return err
		}
		if len(config.RootFS.DiffIDs) != len(e.Layers) {
			return errors.New("layers length mismatch")
		}
		chain := ""
		for i, diffID := range config.RootFS.DiffIDs {
			chain = imageload.Chain(chain, diffID)
			if err := f.layer(chain, diffID.String(), filepath.Join(dir, e.Layers[i])); err != nil {
				return err
			}
			held = append(held, chain)
		}
		f.mu.Lock()
		for _, name := range e.RepoTags {
			f.names[name] = e.Config
		}
		held = nil // the image has them
		f.mu.Unlock()
	}
	return nil
}

func (f *fakeEngine) layer(chain, diffID, file string) error {
	if f.before != nil {
		f.before(diffID)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.layers[chain] > 0 {
		f.layers[chain]++
		return nil
	}
	f.mu.Unlock()
	err := f.read(diffID, file)
	f.mu.Lock()
	if err == nil {
		f.opened = append(f.opened, diffID)
		f.layers[chain]++
	}
	return err
}

func (f *fakeEngine) read(diffID, file string) error {
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	first := make([]byte, 1)
	if n, _ := r.Read(first); n > 0 && f.full {
		return errors.New("no space left on device")
	}
	sum := digest.Canonical.Digester()
	_, _ = sum.Hash().Write(first)
	if _, err := io.Copy(sum.Hash(), r); err != nil {
		return err
	}
	if sum.Digest().String() != diffID {
		return fmt.Errorf("invalid diffID %s, got %s", diffID, sum.Digest())
	}
	return nil
}

func (f *fakeEngine) release(chains []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range chains {
		if f.layers[c]--; f.layers[c] == 0 {
			delete(f.layers, c)
		}
	}
}

// has says which images the engine has by name, and how many layers.
func (f *fakeEngine) has() (names []string, layers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := range f.names {
		names = append(names, n)
	}
	slices.Sort(names)
	return names, len(f.layers)
}

func unpack(body io.Reader, dir string) error {
	for tr := tar.NewReader(body); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		file := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeFifo {
			if err := unix.Mkfifo(file, 0o600); err != nil {
				return err
			}
			continue
		}
		text, err := io.ReadAll(tr)
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err == nil {
			err = os.Chtimes(file, h.ModTime, h.ModTime)
		}
		if err != nil {
			return err
		}
	}
}

func readJSON(file string, v any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
