package cri

import (
	"fmt"
	"strings"
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
	StateDir:   "/var/lib/containerd",
}

// The names containerd gives its CRI plugin: one plugin in configuration
// version 2, split in version 3.
const (
	pluginV2      = "io.containerd.grpc.v1.cri"
	pluginRuntime = "io.containerd.cri.v1.runtime"
	pluginImages  = "io.containerd.cri.v1.images"
)

// renderContainerd writes version 3 of the configuration, or version 2 where
// the user's patches are written for that one (containerd converts it itself,
// so that old patches mean what they meant).
func renderContainerd(s Settings) ([]byte, error) {
	version, err := patchVersion(append(append([]string{}, s.Patches...), s.JSONPatches...))
	if err != nil {
		return nil, err
	}
	base := tomlTree{"version": int64(3)}
	if version == 2 {
		base["version"] = int64(2)
		base["plugins"] = tomlTree{pluginV2: containerdV2(s)}
	} else {
		base["plugins"] = tomlTree{pluginRuntime: containerdRuntime(s), pluginImages: containerdImages(s)}
	}
	if s.Snapshotter == "fuse-overlayfs" {
		base["proxy_plugins"] = tomlTree{"fuse-overlayfs": tomlTree{
			"type": "snapshot", "address": "/run/containerd-fuse-overlayfs.sock",
		}}
	}
	return patched(base, s.Patches, s.JSONPatches)
}

// patchVersion tells which configuration version patches are written for.
func patchVersion(patches []string) (int, error) {
	text := strings.Join(patches, "\n")
	old := strings.Contains(text, pluginV2)
	split := strings.Contains(text, pluginRuntime) || strings.Contains(text, pluginImages)
	switch {
	case old && split:
		return 0, fmt.Errorf("containerd patches name both %q (configuration version 2) and %q or %q (version 3): use one form",
			pluginV2, pluginRuntime, pluginImages)
	case old:
		return 2, nil
	}
	return 3, nil
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
		"registry":                tomlTree{"config_path": "/etc/containerd/certs.d"},
	}
	if s.PauseImage != "" {
		t["pinned_images"] = tomlTree{"sandbox": s.PauseImage}
	}
	return t
}

func containerdV2(s Settings) tomlTree {
	t := containerdRuntime(s)
	t["cni"] = tomlTree{"bin_dir": "/opt/cni/bin", "conf_dir": "/etc/cni/net.d"}
	t["registry"] = tomlTree{"config_path": "/etc/containerd/certs.d"}
	t["containerd"].(tomlTree)["snapshotter"] = snapshotter(s)
	t["containerd"].(tomlTree)["discard_unpacked_layers"] = true
	if s.PauseImage != "" {
		t["sandbox_image"] = s.PauseImage
	}
	return t
}

func snapshotter(s Settings) string {
	if s.Snapshotter == "" {
		return "overlayfs"
	}
	return s.Snapshotter
}
