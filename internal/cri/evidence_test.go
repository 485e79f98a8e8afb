package cri

import (
	"slices"
	"testing"
)

func TestLogUnits(t *testing.T) {
	want := []string{"kubelet.service", "containerd.service", "kluster-mirrors.service", "docker.service", "cri-docker.service", "crio.service"}
	if got := LogUnits(append(All(), All()...)...); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestConfigPaths(t *testing.T) {
	for name, want := range map[string]string{
		"containerd": "/etc/containerd/config.toml", "cri-dockerd": "/etc/docker/daemon.json", "cri-o": "/etc/crio/crio.conf",
	} {
		r, err := Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.ConfigPaths(); err != nil || !slices.Contains(got, want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
