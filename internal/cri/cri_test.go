package cri

import (
	"slices"
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
			"drivers": r.CgroupDriver(1) == "" || r.CgroupDriver(2) == "", "configuration": r.Configure == nil,
			"way to load": len(r.Holds) == 0 || len(r.Load) == 0, "debug": len(r.Debug) == 0, "state": r.StateDir == "", "reports": r.Reports == "",
			"way to fill a store":    r.Store.Fill == "" || len(r.Store.Parts) == 0 || len(r.Store.Copied) == 0,
			"volume for its state":   !slices.ContainsFunc(r.Volumes, func(v string) bool { return strings.HasPrefix(r.StateDir+"/", v+"/") }),
			"limits, but no classes": len(r.Limits) == 0 && !r.Classes,
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
	text, err := renderContainerd(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var crunFirst = []OCI{ociTable[1], ociTable[0]}

func TestContainerd(t *testing.T) {
	const pause = "registry.k8s.io/pause:3.10.2"
	runtime, images := []string{"plugins", pluginRuntime}, []string{"plugins", pluginImages}
	runcPath := append(slices.Clone(runtime), "containerd", "runtimes", "runc")
	for _, tc := range []struct {
		name     string
		settings Settings
		path     []string
		want     any
	}{
		{"version", Settings{CgroupVersion: 2}, []string{"version"}, int64(3)},
		{"cgroup v1", Settings{CgroupVersion: 1}, append(slices.Clone(runcPath), "options", "SystemdCgroup"), false},
		{"cgroup v2", Settings{CgroupVersion: 2}, append(slices.Clone(runcPath), "options", "SystemdCgroup"), true},
		{"restricted", Settings{RestrictOOM: true}, append(slices.Clone(runtime), "restrict_oom_score_adj"), true},
		{"unrestricted", Settings{}, append(slices.Clone(runtime), "restrict_oom_score_adj"), false},
		{"apparmor", Settings{}, append(slices.Clone(runtime), "disable_apparmor"), true},
		{"plugins", Settings{}, append(slices.Clone(runtime), "cni", "bin_dirs"), []any{"/opt/cni/bin"}},
		{"pause", Settings{PauseImage: pause}, append(slices.Clone(images), "pinned_images", "sandbox"), pause},
		{"no pause", Settings{}, append(slices.Clone(images), "pinned_images"), nil},
		{"snapshotter", Settings{}, append(slices.Clone(images), "snapshotter"), "overlayfs"},
		{"other snapshotter", Settings{Snapshotter: "native"}, append(slices.Clone(images), "snapshotter"), "native"},
		{"registries", Settings{}, append(slices.Clone(images), "registry", "config_path"), "/etc/containerd/certs.d"},
		{"default OCI runtime", Settings{}, append(slices.Clone(runtime), "containerd", "default_runtime_name"), "runc"},
		{"other OCI runtime", Settings{OCI: crunFirst}, append(slices.Clone(runtime), "containerd", "default_runtime_name"), "crun"},
		{"its program", Settings{OCI: crunFirst}, append(slices.Clone(runtime), "containerd", "runtimes", "crun", "options", "BinaryName"), "/usr/local/sbin/kluster-oci-crun"},
		{"runc beside it", Settings{OCI: crunFirst}, append(slices.Clone(runcPath), "runtime_type"), "io.containerd.runc.v2"},
		{"base spec", Settings{BaseSpec: "/b.json"}, append(slices.Clone(runcPath), "base_runtime_spec"), "/b.json"},
		{
			"fuse-overlayfs",
			Settings{Snapshotter: "fuse-overlayfs"},
			[]string{"proxy_plugins", "fuse-overlayfs", "type"},
			"snapshot",
		},
		{
			"merge keeps neighbours",
			Settings{Patches: []string{"[plugins.'" + pluginImages + "'.registry]\nx = 1\n"}},
			append(slices.Clone(images), "registry"),
			map[string]any{"config_path": "/etc/containerd/certs.d", "x": int64(1)},
		},
		{
			"later patches win", Settings{Patches: []string{"root = 'a'", "root = 'b'"}}, []string{"root"}, "b",
		},
		{
			"a list is replaced",
			Settings{Patches: []string{"[plugins.'" + pluginRuntime + "'.cni]\nbin_dirs = ['/x']"}},
			append(slices.Clone(runtime), "cni", "bin_dirs"),
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
			append(slices.Clone(runtime), "cni"), nil,
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
		if _, err := containerd.Configure(s); err == nil {
			t.Errorf("%s: took a bad patch", name)
		}
	}
}
