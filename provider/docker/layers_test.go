package docker

import (
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/storage"

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

func TestNoNetwork(t *testing.T) {
	req, err := newRequest(provider.NodeSpec{Name: "a", Image: "i", NoNetwork: true})
	if err != nil {
		t.Fatal(err)
	}
	if req.host.NetworkMode != network.NetworkNone {
		t.Errorf("network mode %q", req.host.NetworkMode)
	}
}
