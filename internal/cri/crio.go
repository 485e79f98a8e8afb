package cri

import (
	_ "embed" // of scripts
	"encoding/json"
	"fmt"
	"path"

	"github.com/kluster-project/kluster/internal/nodespec"
)

const crioSocket = "unix:///var/run/crio/crio.sock"

//go:embed fill/crio.sh
var fillCRIO string

//go:embed load/crio.sh
var holdsCRIO string

//go:embed load/crio-import.sh
var loadCRIO string

var crio = Runtime{
	Name:      "cri-o",
	Reports:   "cri-o",
	Socket:    crioSocket,
	Units:     []string{"crio.service"},
	LogUnits:  []string{"crio.service"},
	Drivers:   drivers,
	Configure: configureCRIO,
	Holds:     script(holdsCRIO),
	Load:      script(loadCRIO),
	Whole:     []string{"kluster-images", "-"},
	Debug:     []string{"crictl", "--runtime-endpoint", crioSocket},
	Mirrors:   Mirrors{Files: crioMirrors},
	StateDir:  crioStorage,
	Volumes:   []string{"/var/lib/containers"},
	Store: Store{
		Fill:    fillCRIO,
		Parts:   []string{"overlay", "overlay-images", "overlay-layers", "storage.lock"},
		Copied:  []string{"overlay", "overlay-layers", "overlay-images"},
		InPlace: true,
	},
	Classes: true,
	Limits:  []string{"no image volumes of preloaded images (containers/storage#1864)"},
}

const (
	crioStorage = "/var/lib/containers/storage"
	crioRun     = "/run/containers/storage"
	// crioRegistries is the folder of what CRI-O knows of registries. It watches it.
	crioRegistries = "/etc/containers/registries.conf.d"
	crioHooks      = "/etc/containers/oci/hooks.d"
)

func configureCRIO(s Settings) ([]nodespec.File, error) {
	conf, err := patched(tomlTree{"crio": tomlTree{
		"root": crioStorage, "runroot": crioRun, "storage_driver": crioDrivers[s.Snapshotter],
		"log_dir": "/var/log/crio/pods",
		// A node that was killed lost nothing that the kernel holds, and a new node
		// has the images of its own node image: neither is to remove any.
		"version_file_persist": "", "clean_shutdown_file": "", "internal_repair": false,
		"api":     tomlTree{"listen": "/var/run/crio/crio.sock", "stream_address": "127.0.0.1", "stream_port": "0"},
		"runtime": crioRuntime(s),
		"image":   crioImage(s),
		"network": tomlTree{"network_dir": "/etc/cni/net.d", "plugin_dirs": []any{"/opt/cni/bin"}},
	}}, s.Patches, s.JSONPatches)
	if err != nil {
		return nil, err
	}
	storage, err := patched(crioStores(s), nil, nil)
	if err != nil {
		return nil, err
	}
	files := []nodespec.File{
		{Path: "/etc/crio/crio.conf", Mode: 0o644, Data: conf},
		{Path: "/etc/containers/storage.conf", Mode: 0o644, Data: storage},
		textFile("/etc/containers/policy.json", `{"default": [{"type": "insecureAcceptAnything"}]}`+"\n"),
		textFile("/etc/containers/registries.conf", "unqualified-search-registries = ['docker.io']\n"),
		textFile(path.Join(crioRegistries, "kluster.conf"), crioLoopback),
		crictlFile(crioSocket),
	}
	if len(s.Hook) == 0 {
		return files, nil
	}
	hook, err := crioHook(s.Hook)
	return append(files, hook), err
}

// crioLoopback has registries on the node's own loopback asked without TLS, as
// containerd and Docker do by themselves. Mirrors are files beside it.
const crioLoopback = `[[registry]]
location = "localhost"
insecure = true
[[registry]]
location = "127.0.0.1"
insecure = true
`

func crioRuntime(s Settings) tomlTree {
	runtimes := tomlTree{}
	handler := func(o OCI) tomlTree {
		// conmon lives in the pod's cgroup: systemd may not be asked for others.
		return tomlTree{
			"runtime_path": s.program(o), "runtime_type": "oci", "runtime_root": "/run/" + o.Name,
			"monitor_path": "/usr/bin/conmon", "monitor_cgroup": "pod",
		}
	}
	for _, o := range s.allOCI() {
		runtimes[o.Name] = handler(o)
	}
	runtimes["test-handler"] = handler(s.defaultOCI())
	return tomlTree{
		"default_runtime": s.defaultOCI().Name, "runtimes": runtimes,
		"cgroup_manager": drivers[s.CgroupVersion], "conmon_cgroup": "pod",
		// As containerd and Docker have it: a program that is not root may open port 53.
		"default_sysctls": []any{"net.ipv4.ip_unprivileged_port_start=0"},
		"pinns_path":      "/usr/local/bin/pinns", "hooks_dir": []any{crioHooks},
		"selinux": false, "apparmor_profile": "unconfined",
		// As many as the kernel has: the kubelet limits processes. (-1 for no limit
		// is refused by Debian 12's crun.)
		"pids_limit": int64(4194304),
	}
}

func crioImage(s Settings) tomlTree {
	t := tomlTree{
		"signature_policy": "/etc/containers/policy.json", "auto_reload_registries": true,
		"pause_command": "/pause", // the image's own entry point
	}
	if s.PauseImage != "" {
		t["pause_image"] = s.PauseImage
	}
	return t
}

// crioStores is storage.conf, which CRI-O and kluster-images both read.
func crioStores(s Settings) tomlTree {
	options := tomlTree{}
	if s.Store != "" {
		options["additionalimagestores"] = []any{s.Store}
	}
	if s.Snapshotter == "fuse-overlayfs" {
		options["overlay"] = tomlTree{"mount_program": "/usr/bin/fuse-overlayfs"}
	}
	return tomlTree{"storage": tomlTree{
		"driver": crioDrivers[s.Snapshotter], "graphroot": crioStorage, "runroot": crioRun, "options": options,
	}}
}

// crioHook makes CRI-O run a program in every container that was created.
func crioHook(command []string) (nodespec.File, error) {
	hook := map[string]any{
		"version": "1.0.0",
		"hook":    map[string]any{"path": command[0], "args": append([]string{path.Base(command[0])}, command[1:]...)},
		"when":    map[string]any{"always": true},
		"stages":  []string{"createContainer"},
	}
	text, err := json.MarshalIndent(hook, "", "  ")
	if err != nil {
		return nodespec.File{}, fmt.Errorf("encoding an OCI hook: %w", err)
	}
	return textFile(path.Join(crioHooks, "kluster.json"), string(text)+"\n"), nil
}
