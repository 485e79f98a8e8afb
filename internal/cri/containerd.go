package cri

import (
	_ "embed" // of scripts

	"github.com/kluster-project/kluster/internal/nodespec"
)

const containerdSocket = "unix:///run/containerd/containerd.sock"

//go:embed fill/containerd.sh
var fillContainerd string

//go:embed load/containerd.sh
var holdsContainerd string

var containerd = Runtime{
	Name:         "containerd",
	Reports:      "containerd",
	Socket:       containerdSocket,
	Units:        []string{"containerd.service"},
	LogUnits:     []string{"containerd.service"},
	Drivers:      drivers,
	Configure:    configureContainerd,
	TakesPatches: true,
	DefaultSpec:  []string{"ctr", "oci", "spec"},
	Holds:        script(holdsContainerd),
	Load:         []string{"kluster-containerd"},
	Import:       []string{"ctr", "-n", "k8s.io", "images", "import", "-"},
	// As kind has it, less its "--privileged", which not every engine gives.
	Whole:    []string{"ctr", "--namespace=k8s.io", "images", "import", "--all-platforms", "--digests", "--snapshotter=overlayfs", "-"},
	Debug:    []string{"crictl", "--runtime-endpoint", containerdSocket},
	Mirrors:  Mirrors{Files: containerdMirrors, Glob: containerdHosts + "/*/hosts.toml"},
	StateDir: "/var/lib/containerd",
	Volumes:  []string{"/var/lib/containerd"},
	Store: Store{
		Fill: fillContainerd,
		Parts: []string{
			"io.containerd.metadata.v1.bolt", "io.containerd.content.v1.content", "io.containerd.snapshotter.v1.overlayfs",
		},
		Layers: "io.containerd.snapshotter.v1.overlayfs/snapshots",
		Blobs:  "io.containerd.content.v1.content/blobs/sha256",
		Copied: []string{"io.containerd.snapshotter.v1.overlayfs/metadata.db", "io.containerd.metadata.v1.bolt/meta.db"},
	},
	Classes: true,
}

// containerdConfig is where containerd looks for its configuration.
const containerdConfig = "/etc/containerd/config.toml"

// The names of containerd's CRI plugin, which version 3 of its configuration
// splits. Its streaming server keeps the name of the whole from version 2.
const (
	pluginRuntime = "io.containerd.cri.v1.runtime"
	pluginImages  = "io.containerd.cri.v1.images"
	pluginGRPC    = "io.containerd.grpc.v1.cri"
)

func configureContainerd(s Settings) ([]nodespec.File, error) {
	text, err := renderContainerd(s)
	if err != nil {
		return nil, err
	}
	return []nodespec.File{{Path: containerdConfig, Mode: 0o644, Data: text}, crictlFile(containerdSocket)}, nil
}

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

// handlers are the runtime classes of a node: one for each OCI runtime, and
// test-handler, which is the default again, by the name Kubernetes' conformance
// tests use.
func handlers(s Settings) tomlTree {
	handler := func(o OCI) tomlTree {
		options := tomlTree{"SystemdCgroup": drivers[s.CgroupVersion] == DriverSystemd}
		if o != runc {
			options["BinaryName"] = o.called()
		}
		h := tomlTree{"runtime_type": "io.containerd.runc.v2", "options": options}
		if s.BaseSpec != "" {
			h["base_runtime_spec"] = s.BaseSpec
		}
		return h
	}
	all := tomlTree{"test-handler": handler(s.defaultOCI())}
	for _, o := range s.allOCI() {
		all[o.Name] = handler(o)
	}
	return all
}

func containerdRuntime(s Settings) tomlTree {
	return tomlTree{
		"restrict_oom_score_adj":              s.RestrictOOM,
		"disable_apparmor":                    true,
		"tolerate_missing_hugetlb_controller": true,
		"containerd":                          tomlTree{"default_runtime_name": s.defaultOCI().Name, "runtimes": handlers(s)},
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
