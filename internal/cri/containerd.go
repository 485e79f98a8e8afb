package cri

import (
	"fmt"
	"path"

	"github.com/kluster-project/kluster/internal/nodespec"
)

var containerdDrivers = map[int]string{1: DriverCgroupfs, 2: DriverSystemd}

var containerd = Runtime{
	Name:       "containerd",
	Socket:     "unix:///run/containerd/containerd.sock",
	Units:      []string{"containerd.service"},
	LogUnits:   []string{"containerd.service"},
	Cgroup:     "/system.slice/containerd.service",
	Drivers:    containerdDrivers,
	ConfigPath: "/etc/containerd/config.toml",
	Render:     renderContainerd,
	Import:     []string{"ctr", "-n", "k8s.io", "images", "import", "-"},
	Debug:      []string{"crictl", "--runtime-endpoint", "unix:///run/containerd/containerd.sock"},
	Mirror:     containerdMirror,
	StateDir:   "/var/lib/containerd",
}

// The names of containerd's CRI plugin, which version 3 of its configuration
// splits. Its streaming server keeps the name of the whole from version 2.
const (
	pluginRuntime = "io.containerd.cri.v1.runtime"
	pluginImages  = "io.containerd.cri.v1.images"
)

// renderContainerd writes version 3 of the configuration; patches are of that
// version too (config.Patches sees to it).
func renderContainerd(s Settings) ([]byte, error) {
	base := tomlTree{
		"version": int64(3),
		"plugins": tomlTree{pluginRuntime: containerdRuntime(s), pluginImages: containerdImages(s)},
	}
	if s.Snapshotter == "fuse-overlayfs" {
		base["proxy_plugins"] = tomlTree{"fuse-overlayfs": tomlTree{
			"type": "snapshot", "address": "/run/containerd-fuse-overlayfs.sock",
		}}
	}
	return patched(base, s.Patches, s.JSONPatches)
}

// handlers are the runtime classes every node has: test-handler is the default
// again, by the name Kubernetes' conformance tests use.
func handlers(s Settings) tomlTree {
	handler := func() tomlTree {
		h := tomlTree{
			"runtime_type": "io.containerd.runc.v2",
			"options":      tomlTree{"SystemdCgroup": containerdDrivers[s.CgroupVersion] == DriverSystemd},
		}
		if s.BaseSpec != "" {
			h["base_runtime_spec"] = s.BaseSpec
		}
		return h
	}
	return tomlTree{"runc": handler(), "test-handler": handler()}
}

func containerdRuntime(s Settings) tomlTree {
	return tomlTree{
		"restrict_oom_score_adj":              s.RestrictOOM,
		"disable_apparmor":                    true,
		"tolerate_missing_hugetlb_controller": true,
		"containerd":                          tomlTree{"default_runtime_name": "runc", "runtimes": handlers(s)},
		"cni":                                 tomlTree{"bin_dirs": []any{"/opt/cni/bin"}, "conf_dir": "/etc/cni/net.d"},
	}
}

func containerdImages(s Settings) tomlTree {
	t := tomlTree{
		"snapshotter":             snapshotter(s),
		"discard_unpacked_layers": true,
		"registry":                tomlTree{"config_path": containerdHosts},
	}
	if s.PauseImage != "" {
		t["pinned_images"] = tomlTree{"sandbox": s.PauseImage}
	}
	return t
}

func snapshotter(s Settings) string {
	if s.Snapshotter == "" {
		return "overlayfs"
	}
	return s.Snapshotter
}

// containerdHosts is the folder with containerd's knowledge of registries, which it
// reads at every pull.
const containerdHosts = "/etc/containerd/certs.d"

func containerdMirror(m Mirror) nodespec.File {
	text := fmt.Sprintf("[host.%q]\ncapabilities = [\"pull\", \"resolve\"]\n", m.URL)
	return nodespec.File{Path: path.Join(containerdHosts, m.Of, "hosts.toml"), Mode: 0o644, Data: []byte(text)}
}
