package cri

import (
	_ "embed" // of scripts
	"encoding/json"
	"fmt"

	"github.com/kluster-project/kluster/internal/nodespec"
)

const dockerdSocket = "unix:///run/cri-dockerd.sock"

//go:embed fill/dockerd.sh
var fillDockerd string

//go:embed load/dockerd.sh
var holdsDockerd string

//go:embed load/dockerd-import.sh
var loadDockerd string

// mirrorsUnit is the proxy that asks mirrors of registries; see nodeagent/mirrors.
const mirrorsUnit = "kluster-mirrors.service"

// dockerd is Docker Engine with Mirantis' cri-dockerd before it.
var dockerd = Runtime{
	Name:    "cri-dockerd",
	Reports: "docker",
	Socket:  dockerdSocket,
	// Docker Engine can be told of mirrors of Docker Hub alone, so that all of its pulls
	// go through a proxy.
	Units:     []string{"containerd.service", mirrorsUnit, "docker.service", "cri-docker.service"},
	LogUnits:  []string{mirrorsUnit, "docker.service", "cri-docker.service"},
	Drivers:   drivers,
	Configure: configureDockerd,
	Holds:     script(holdsDockerd),
	Load:      []string{"kluster-node", "docker-load"},
	Import:    script(loadDockerd),
	Whole:     script(loadDockerd),
	Debug:     []string{"crictl", "--runtime-endpoint", dockerdSocket},
	StateDir:  "/var/lib/docker",
	// containerd keeps the state of Docker's containers.
	Volumes: []string{"/var/lib/docker", "/var/lib/containerd"},
	Store: Store{
		Fill:   fillDockerd,
		Parts:  []string{"overlay2", "image/overlay2"},
		Layers: "overlay2",
		Inner:  "diff",
		Copied: []string{"overlay2/l", "image/overlay2"},
	},
	// cri-dockerd names its streams without a scheme, which a kubelet that
	// speaks WebSocket to them needs: exec, attach and port-forward would fail.
	Gates: []Gate{{Name: "ExtendWebSocketsToKubelet", Value: false, Since: "v1.36"}},
	Limits: []string{
		"the OCI runtime is one for all pods of a node: no RuntimeClass picks another",
		"no image volumes, user namespaces, pod-level statistics or container events",
		"containers see the product name and UUID of the host",
	},
}

// daemonConfig is dockerd's daemon.json.
type daemonConfig struct {
	DataRoot       string                   `json:"data-root"`
	StorageDriver  string                   `json:"storage-driver"`
	ExecOpts       []string                 `json:"exec-opts"`
	LogDriver      string                   `json:"log-driver"`
	Bridge         string                   `json:"bridge"`
	IPTables       bool                     `json:"iptables"`
	IP6Tables      bool                     `json:"ip6tables"`
	IPMasq         bool                     `json:"ip-masq"`
	UserlandProxy  bool                     `json:"userland-proxy"`
	LiveRestore    bool                     `json:"live-restore"`
	DefaultRuntime string                   `json:"default-runtime"`
	Runtimes       map[string]daemonRuntime `json:"runtimes"`
	Containerd     string                   `json:"containerd"`
	Features       map[string]bool          `json:"features"`
	MaxDownloads   int                      `json:"max-concurrent-downloads"`
}

type daemonRuntime struct {
	Path string `json:"path"`
}

// storageDrivers are Docker's and CRI-O's names of Settings.Snapshotter.
var (
	dockerDrivers = map[string]string{"": "overlay2", "overlayfs": "overlay2", "fuse-overlayfs": "fuse-overlayfs", "native": "vfs"}
	crioDrivers   = map[string]string{"": "overlay", "overlayfs": "overlay", "fuse-overlayfs": "overlay", "native": "vfs"}
)

func configureDockerd(s Settings) ([]nodespec.File, error) {
	// The pod network is CNI's: Docker must neither make networks nor rules.
	conf := daemonConfig{
		DataRoot: "/var/lib/docker", StorageDriver: dockerDrivers[s.Snapshotter], LogDriver: "json-file",
		ExecOpts: []string{"native.cgroupdriver=" + drivers[s.CgroupVersion]},
		Bridge:   "none", LiveRestore: true, MaxDownloads: 3,
		Containerd: "/run/containerd/containerd.sock", Features: map[string]bool{"containerd-snapshotter": false},
		// Not by the name runc, which is Docker's own and cannot be given.
		DefaultRuntime: dockerRuntime(s.defaultOCI()), Runtimes: map[string]daemonRuntime{},
	}
	for _, o := range s.allOCI() {
		conf.Runtimes[dockerRuntime(o)] = daemonRuntime{Path: s.program(o)}
	}
	text, err := json.MarshalIndent(conf, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding daemon.json: %w", err)
	}
	flags := ""
	if s.PauseImage != "" {
		flags = "--pod-infra-container-image=" + s.PauseImage
	}
	return []nodespec.File{
		// Docker's own containerd: no part of it speaks CRI.
		textFile(containerdConfig, "version = 3\ndisabled_plugins = ['"+pluginImages+"', '"+pluginRuntime+"', '"+pluginGRPC+"']\n"),
		textFile("/etc/docker/daemon.json", string(text)+"\n"),
		textFile("/etc/default/cri-docker", "CRI_DOCKERD_FLAGS="+flags+"\n"),
		crictlFile(dockerdSocket),
	}, nil
}

func dockerRuntime(o OCI) string { return "kluster-" + o.Name }
