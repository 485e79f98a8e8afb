package docker

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// fakeEngine answers as an engine of some API version would. What is asked of
// it goes to handle without the version in the path.
func fakeEngine(t *testing.T, api, system string, handle http.HandlerFunc) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/_ping") {
			w.Header().Set("Api-Version", api)
			w.Header().Set("Ostype", system)
			return
		}
		if _, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v"), "/"); ok {
			r.URL.Path = "/" + rest
		}
		handle(w, r)
	}))
	t.Cleanup(server.Close)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("DOCKER_HOST", strings.Replace(server.URL, "http://", "tcp://", 1))
	for _, name := range []string{"DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"} {
		t.Setenv(name, "")
	}
}

func TestNewRefusesEngine(t *testing.T) {
	for _, test := range []struct{ name, api, system, want string }{
		{"too old", "1.40", "linux", "update it to Docker Engine 20.10 or newer"},
		{"Windows containers", "1.47", "windows", "switch it to Linux containers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fakeEngine(t, test.api, test.system, http.NotFound)
			_, err := New(t.Context())
			if !errors.Is(err, provider.ErrUnavailable) || !slices.Contains(failure.Hints(err), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestNewWithoutEngine(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("DOCKER_HOST", "unix://"+t.TempDir()+"/docker.sock")
	_, err := New(t.Context())
	if !errors.Is(err, provider.ErrUnavailable) || !slices.Contains(failure.Hints(err), hintStart) {
		t.Errorf("got %v", err)
	}
}

// TestDroppedCaps: newer engines refuse to drop a capability they lack.
func TestDroppedCaps(t *testing.T) {
	missing := []string{"CAP_SYS_RESOURCE", "CAP_SYS_TIME"}
	withheld := withheldCaps()
	slices.Sort(withheld)
	without := slices.DeleteFunc(slices.Clone(withheld), func(name string) bool { return name == "CAP_SYS_TIME" })
	old := slices.Insert(slices.Clone(withheld), slices.Index(withheld, "CAP_SYS_TIME"), "CAP_SYS_RESOURCE")
	for api, want := range map[string][]string{"1.41": old, "1.42": without, "1.51": without} {
		t.Run(api, func(t *testing.T) {
			fakeEngine(t, api, "linux", http.NotFound)
			p, err := New(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			p.missing = func() []string { return missing }
			got := p.systemFacts().dropCaps
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLoadFallsBack: the layer that was left out turns out to be missing, so
// the image is sent once more as a whole.
func TestLoadFallsBack(t *testing.T) {
	img, err := providertest.Image([]byte("program"), nil)
	if err != nil {
		t.Fatal(err)
	}
	layer := layerFile(diffIDs(t, img)[0])
	var archives [][]string
	fakeEngine(t, "1.41", "linux", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/info":
			fmt.Fprint(w, `{"DriverStatus":[["Backing Filesystem","extfs"]]}`)
		case "/images/json":
			fmt.Fprint(w, `[{"Id":"sha256:held"}]`)
		case "/images/sha256:held/json":
			fmt.Fprint(w, `{"Id":"sha256:held","RootFS":{"Layers":["`+diffIDs(t, img)[0]+`"]}}`)
		case "/images/load":
			names := tarNames(t, r.Body)
			archives = append(archives, names)
			if !slices.Contains(names, layer) {
				fmt.Fprint(w, `{"error":"open `+layer+`: no such file or directory"}`)
			}
		default:
			t.Errorf("asked for %s", r.URL.Path)
		}
	})
	p, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.LoadImage(t.Context(), "a:1", img, nil); err != nil {
		t.Fatal(err)
	}
	if len(archives) != 2 || slices.Contains(archives[0], layer) || !slices.Contains(archives[1], layer) {
		t.Errorf("sent %q", archives)
	}
}

// TestLoadToContainerdStore: that store is sent every layer, held or not.
func TestLoadToContainerdStore(t *testing.T) {
	img, err := providertest.Image([]byte("program"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	fakeEngine(t, "1.51", "linux", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/info":
			fmt.Fprint(w, `{"Driver":"overlayfs","DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}`)
		case "/images/json":
			fmt.Fprint(w, `[{"Id":"sha256:held"}]`)
		case "/images/sha256:held/json":
			fmt.Fprint(w, `{"Id":"sha256:held","RootFS":{"Layers":["`+diffIDs(t, img)[0]+`"]}}`)
		case "/images/load":
			sent = tarNames(t, r.Body)
		default:
			t.Errorf("asked for %s", r.URL.Path)
		}
	})
	p, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.LoadImage(t.Context(), "a:1", img, nil); err != nil {
		t.Fatal(err)
	}
	for _, id := range diffIDs(t, img) {
		if !slices.Contains(sent, layerFile(id)) {
			t.Errorf("layer %s was left out of %q", id, sent)
		}
	}
}

func diffIDs(t *testing.T, img v1.Image) []string {
	t.Helper()
	a, err := newArchive("a:1", img)
	if err != nil {
		t.Fatal(err)
	}
	return a.diffIDs
}

func tarNames(t *testing.T, r io.Reader) []string {
	t.Helper()
	var names []string
	for tr := tar.NewReader(r); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Error(err)
			return names
		}
		names = append(names, header.Name)
	}
}
