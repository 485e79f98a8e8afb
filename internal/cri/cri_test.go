package cri

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

func TestGet(t *testing.T) {
	for _, name := range append(Names(), "") {
		r, err := Get(name)
		if err != nil {
			t.Fatal(err)
		}
		for what, empty := range map[string]bool{
			"socket": r.SocketPath() == r.Socket, "units": len(r.Units) == 0, "log units": len(r.LogUnits) == 0,
			"drivers": r.CgroupDriver(1) == "" || r.CgroupDriver(2) == "", "configuration": r.ConfigPath == "" || r.Render == nil,
			"import": len(r.Import) == 0, "mirror": r.Mirror == nil, "debug": len(r.Debug) == 0, "state": r.StateDir == "", "cgroup": r.Cgroup == "",
		} {
			if empty {
				t.Errorf("runtime %q has no %s", r.Name, what)
			}
		}
	}
	if _, err := Get("rkt"); err == nil || !strings.Contains(err.Error(), "containerd") {
		t.Errorf("error does not say what is known: %v", err)
	}
}

// at looks a value up in TOML by its path of keys.
func at(t *testing.T, text string, path ...string) any {
	t.Helper()
	var tree map[string]any
	if err := toml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	var v any = tree
	for _, key := range path {
		table, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = table[key]
	}
	return v
}

func render(t *testing.T, s Settings) string {
	t.Helper()
	text, err := containerd.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestContainerd(t *testing.T) {
	const pause = "registry.k8s.io/pause:3.10.2"
	runtime, images := []string{"plugins", pluginRuntime}, []string{"plugins", pluginImages}
	runc := append(runtime, "containerd", "runtimes", "runc")
	for _, tc := range []struct {
		name     string
		settings Settings
		path     []string
		want     any
	}{
		{"version", Settings{CgroupVersion: 2}, []string{"version"}, int64(3)},
		{"cgroup v1", Settings{CgroupVersion: 1}, append(runc, "options", "SystemdCgroup"), false},
		{"cgroup v2", Settings{CgroupVersion: 2}, append(runc, "options", "SystemdCgroup"), true},
		{"restricted", Settings{RestrictOOM: true}, append(runtime, "restrict_oom_score_adj"), true},
		{"unrestricted", Settings{}, append(runtime, "restrict_oom_score_adj"), false},
		{"apparmor", Settings{}, append(runtime, "disable_apparmor"), true},
		{"plugins", Settings{}, append(runtime, "cni", "bin_dirs"), []any{"/opt/cni/bin"}},
		{"pause", Settings{PauseImage: pause}, append(images, "pinned_images", "sandbox"), pause},
		{"no pause", Settings{}, append(images, "pinned_images"), nil},
		{"snapshotter", Settings{}, append(images, "snapshotter"), "overlayfs"},
		{"other snapshotter", Settings{Snapshotter: "native"}, append(images, "snapshotter"), "native"},
		{"registries", Settings{}, append(images, "registry", "config_path"), "/etc/containerd/certs.d"},
		{"base spec", Settings{BaseSpec: "/b.json"}, append(runc, "base_runtime_spec"), "/b.json"},
		{
			"fuse-overlayfs",
			Settings{Snapshotter: "fuse-overlayfs"},
			[]string{"proxy_plugins", "fuse-overlayfs", "type"},
			"snapshot",
		},
		{
			"merge keeps neighbours",
			Settings{Patches: []string{"[plugins.'" + pluginImages + "'.registry]\nx = 1\n"}},
			append(images, "registry"),
			map[string]any{"config_path": "/etc/containerd/certs.d", "x": int64(1)},
		},
		{
			"later patches win", Settings{Patches: []string{"root = 'a'", "root = 'b'"}}, []string{"root"}, "b",
		},
		{
			"a list is replaced",
			Settings{Patches: []string{"[plugins.'" + pluginRuntime + "'.cni]\nbin_dirs = ['/x']"}},
			append(runtime, "cni", "bin_dirs"),
			[]any{"/x"},
		},
		{
			"JSON patch",
			Settings{JSONPatches: []string{`[{"op":"add","path":"/debug","value":{"level":"debug"}}]`}},
			[]string{"debug", "level"},
			"debug",
		},
		{
			"JSON patch in YAML",
			Settings{JSONPatches: []string{"- op: remove\n  path: /plugins/" + pluginRuntime + "/cni\n"}},
			append(runtime, "cni"), nil,
		},
		{"JSON patch keeps integers", Settings{JSONPatches: []string{"[]"}}, []string{"version"}, int64(3)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, at(t, render(t, tc.settings), tc.path...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTestHandlerIsTheDefaultHandler(t *testing.T) {
	text := render(t, Settings{CgroupVersion: 2, BaseSpec: "/b.json"})
	handler := func(name string) any {
		return at(t, text, "plugins", pluginRuntime, "containerd", "runtimes", name)
	}
	if diff := cmp.Diff(handler("runc"), handler("test-handler")); diff != "" {
		t.Error(diff)
	}
}

// The streaming server is the one part of the CRI plugin that keeps its old name.
func TestPatchOfTheStreamingServer(t *testing.T) {
	const streaming = "io.containerd.grpc.v1.cri"
	text := render(t, Settings{CgroupVersion: 1, Patches: []string{
		"[plugins.'" + streaming + "']\nstream_idle_timeout = '1h'\n", "[plugins.'" + pluginImages + "']\nmax_concurrent_downloads = 10\n",
	}})
	for _, tc := range []struct {
		path []string
		want any
	}{
		{[]string{"version"}, int64(3)},
		{[]string{"plugins", streaming, "stream_idle_timeout"}, "1h"},
		{[]string{"plugins", pluginImages, "max_concurrent_downloads"}, int64(10)},
		{[]string{"plugins", pluginImages, "snapshotter"}, "overlayfs"},
	} {
		if diff := cmp.Diff(tc.want, at(t, text, tc.path...)); diff != "" {
			t.Errorf("%v: %s", tc.path, diff)
		}
	}
}

func TestBadPatches(t *testing.T) {
	for name, s := range map[string]Settings{
		"TOML":          {Patches: []string{"= x"}},
		"JSON":          {JSONPatches: []string{"{"}},
		"no operations": {JSONPatches: []string{`{"op":"add"}`}},
		"missing path":  {JSONPatches: []string{`[{"op":"remove","path":"/nothing"}]`}},
	} {
		if _, err := containerd.Render(s); err == nil {
			t.Errorf("%s: took a bad patch", name)
		}
	}
}

func TestMirror(t *testing.T) {
	got := containerd.Mirror(Mirror{Of: "registry.k8s.io", URL: "http://172.28.0.127:5000"})
	const text = "[host.\"http://172.28.0.127:5000\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
	if got.Path != "/etc/containerd/certs.d/registry.k8s.io/hosts.toml" || string(got.Data) != text || got.Mode != 0o644 {
		t.Errorf("got %s:\n%s", got.Path, got.Data)
	}
	var parsed map[string]any
	if err := toml.Unmarshal(got.Data, &parsed); err != nil {
		t.Error(err)
	}
}
