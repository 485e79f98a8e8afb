package docker

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/storage"
	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/provider"
)

func TestLayerDir(t *testing.T) {
	held := image.InspectResponse{
		RootFS:      image.RootFS{Layers: []string{"sha256:base", "sha256:store", "sha256:top"}},
		GraphDriver: storage.DriverData{Name: "fuse-overlayfs", Data: map[string]string{"UpperDir": "/top", "LowerDir": "/store:/base"}},
	}
	for diffID, want := range map[string]string{"sha256:base": "/base", "sha256:store": "/store", "sha256:top": "/top"} {
		if dir, err := layerDir(held, diffID); err != nil || dir != want {
			t.Errorf("%s is at %q, %v", diffID, dir, err)
		}
	}
	if dir, err := layerDir(held, "sha256:other"); err == nil {
		t.Errorf("a layer it does not have is at %q", dir)
	}
	held.GraphDriver.Data["LowerDir"] = "/base"
	if dir, err := layerDir(held, "sha256:store"); err == nil {
		t.Errorf("with a folder missing it is at %q", dir)
	}
}

// TestLayerBinds: only drivers that serve files from user space are gone past.
func TestLayerBinds(t *testing.T) {
	for driver, want := range map[string][]string{
		"fuse-overlayfs": {"/programs/opt/a:/opt/a:ro", "/store/opt/b:/opt/b:ro"},
		"overlay2":       nil,
	} {
		t.Run(driver, func(t *testing.T) {
			fakeEngine(t, "1.41", "linux", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"RootFS": {"Type": "layers", "Layers": ["sha256:base", "sha256:store", "sha256:programs"]},
					"GraphDriver": {"Name": %q, "Data": {"UpperDir": "/programs", "LowerDir": "/store:/base"}}}`, driver)
			})
			p, err := New(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			got, err := p.layerBinds(t.Context(), provider.NodeSpec{
				Image: "i", LayerMounts: map[string]string{"/opt/b": "sha256:store", "/opt/a": "sha256:programs"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoNetwork(t *testing.T) {
	req, err := newRequest(provider.NodeSpec{Name: "a", Image: "i", NoNetwork: true})
	if err != nil {
		t.Fatal(err)
	}
	if req.host.NetworkMode != network.NetworkNone {
		t.Errorf("network mode %q", req.host.NetworkMode)
	}
}
