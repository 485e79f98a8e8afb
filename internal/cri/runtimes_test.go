package cri

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files are a runtime's files by path.
func files(t *testing.T, r Runtime, s Settings) map[string]string {
	t.Helper()
	list, err := r.Configure(s)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range list {
		all[f.Path] = string(f.Data)
	}
	return all
}

func TestEveryRuntimeTellsCrictl(t *testing.T) {
	for _, r := range table {
		if text := files(t, r, Settings{CgroupVersion: 2})["/etc/crictl.yaml"]; !strings.Contains(text, "runtime-endpoint: "+r.Socket+"\n") {
			t.Errorf("%s: crictl.yaml is %q", r.Name, text)
		}
	}
}

func TestKubeletGates(t *testing.T) {
	for version, want := range map[string]map[string]bool{
		"v1.35.4": {}, "v1.36.0-rc.1": {"ExtendWebSocketsToKubelet": false}, "v1.36.3": {"ExtendWebSocketsToKubelet": false},
	} {
		if diff := cmp.Diff(want, dockerd.KubeletGates(version)); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
	}
	if got := containerd.KubeletGates("v1.36.3"); len(got) != 0 {
		t.Errorf("containerd: %v", got)
	}
}

func TestDockerd(t *testing.T) {
	for _, tc := range []struct {
		name                 string
		settings             Settings
		runtime, path, group string
	}{
		{"plain", Settings{CgroupVersion: 2}, "kluster-runc", "/usr/local/sbin/runc", "systemd"},
		{"cgroup v1", Settings{CgroupVersion: 1}, "kluster-runc", "/usr/local/sbin/runc", "cgroupfs"},
		{"restricted", Settings{CgroupVersion: 2, RestrictOOM: true}, "kluster-runc", "/usr/local/sbin/kluster-oci", "systemd"},
		{"crun", Settings{CgroupVersion: 2, OCI: crunFirst}, "kluster-crun", "/usr/local/sbin/kluster-oci-crun", "systemd"},
		{"restricted crun", Settings{CgroupVersion: 2, NoHugetlb: true, OCI: crunFirst}, "kluster-crun", "/usr/local/sbin/kluster-oci-crun", "systemd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var conf daemonConfig
			if err := json.Unmarshal([]byte(files(t, dockerd, tc.settings)["/etc/docker/daemon.json"]), &conf); err != nil {
				t.Fatal(err)
			}
			if conf.DefaultRuntime != tc.runtime || conf.Runtimes[tc.runtime].Path != tc.path {
				t.Errorf("default runtime %s of %v", conf.DefaultRuntime, conf.Runtimes)
			}
			if diff := cmp.Diff([]string{"native.cgroupdriver=" + tc.group}, conf.ExecOpts); diff != "" {
				t.Error(diff)
			}
			if conf.Bridge != "none" || conf.IPTables || conf.IP6Tables {
				t.Error("Docker would make networks of its own")
			}
		})
	}
}

func TestDockerdPauseImage(t *testing.T) {
	const image = "registry.k8s.io/pause:3.10.2"
	got := files(t, dockerd, Settings{CgroupVersion: 2, PauseImage: image})["/etc/default/cri-docker"]
	if got != "CRI_DOCKERD_FLAGS=--pod-infra-container-image="+image+"\n" {
		t.Errorf("flags: %q", got)
	}
}

// Docker's containerd must leave the CRI to cri-dockerd.
func TestDockersContainerd(t *testing.T) {
	text := files(t, dockerd, Settings{CgroupVersion: 2})[containerdConfig]
	if diff := cmp.Diff([]any{pluginImages, pluginRuntime, pluginGRPC}, at(t, text, "disabled_plugins")); diff != "" {
		t.Error(diff)
	}
}

func TestCRIO(t *testing.T) {
	const conf, storage = "/etc/crio/crio.conf", "/etc/containers/storage.conf"
	runtime := func(path ...string) []string { return append([]string{"crio", "runtime"}, path...) }
	for _, tc := range []struct {
		name     string
		settings Settings
		file     string
		path     []string
		want     any
	}{
		{"cgroup v1", Settings{CgroupVersion: 1}, conf, runtime("cgroup_manager"), "cgroupfs"},
		{"cgroup v2", Settings{CgroupVersion: 2}, conf, runtime("cgroup_manager"), "systemd"},
		{"conmon", Settings{}, conf, runtime("conmon_cgroup"), "pod"},
		{"runc", Settings{}, conf, runtime("runtimes", "runc", "runtime_path"), "/usr/local/sbin/runc"},
		{"no hugetlb", Settings{NoHugetlb: true}, conf, runtime("runtimes", "runc", "runtime_path"), "/usr/local/sbin/kluster-oci"},
		{"default", Settings{OCI: crunFirst}, conf, runtime("default_runtime"), "crun"},
		{"test-handler is the default", Settings{OCI: crunFirst}, conf, runtime("runtimes", "test-handler", "runtime_path"), "/usr/local/sbin/kluster-oci-crun"},
		{"restricted crun", Settings{OCI: crunFirst, RestrictOOM: true}, conf, runtime("runtimes", "crun", "runtime_path"), "/usr/local/sbin/kluster-oci-crun"},
		{"pause", Settings{PauseImage: "a/pause:1"}, conf, []string{"crio", "image", "pause_image"}, "a/pause:1"},
		{"streams", Settings{}, conf, []string{"crio", "api", "stream_address"}, "127.0.0.1"},
		{"own store", Settings{}, storage, []string{"storage", "options", "additionalimagestores"}, nil},
		{"shared store", Settings{Store: "/s"}, storage, []string{"storage", "options", "additionalimagestores"}, []any{"/s"}},
		{"driver", Settings{}, storage, []string{"storage", "driver"}, "overlay"},
		{"no overlay", Settings{Snapshotter: "native"}, storage, []string{"storage", "driver"}, "vfs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, at(t, files(t, crio, tc.settings)[tc.file], tc.path...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCRIOHook(t *testing.T) {
	const file = "/etc/containers/oci/hooks.d/kluster.json"
	if _, there := files(t, crio, Settings{})[file]; there {
		t.Error("a hook that nobody asked for")
	}
	var hook struct {
		Hook struct {
			Path string
			Args []string
		}
		Stages []string
	}
	if err := json.Unmarshal([]byte(files(t, crio, Settings{Hook: []string{"/bin/x", "do"}})[file]), &hook); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"x", "do"}, hook.Hook.Args); diff != "" || hook.Hook.Path != "/bin/x" {
		t.Error(hook.Hook.Path, diff)
	}
}

func TestVolumesOfSeveral(t *testing.T) {
	if diff := cmp.Diff([]string{"/var/lib/containerd", "/var/lib/docker"}, Volumes("containerd", "cri-dockerd")); diff != "" {
		t.Error(diff)
	}
}

func TestGetOCI(t *testing.T) {
	for _, name := range append(OCINames(), "") {
		if o, err := GetOCI(name); err != nil || o.Program == "" || o.Shim == "" {
			t.Errorf("%q: %v, %v", name, o, err)
		}
	}
	if _, err := GetOCI("kata"); err == nil || !strings.Contains(err.Error(), "runc, crun") {
		t.Errorf("error does not say what is known: %v", err)
	}
}
