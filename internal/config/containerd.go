package config

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// containerd's configuration files of version 2, which kind's are, have one
// CRI plugin; since version 3 it is three.
const (
	criV2      = "io.containerd.grpc.v1.cri"
	criImages  = "io.containerd.cri.v1.images"
	criRuntime = "io.containerd.cri.v1.runtime"
)

// criMove says where a setting of the old plugin lives now; "*" is any name.
// What no move names is the runtime plugin's, under its old name.
type criMove struct{ from, plugin, to string }

var criMoves = []criMove{
	{"sandbox_image", criImages, "pinned_images/sandbox"},
	{"registry", criImages, "registry"},
	{"image_decryption", criImages, "image_decryption"},
	{"max_concurrent_downloads", criImages, "max_concurrent_downloads"},
	{"image_pull_progress_timeout", criImages, "image_pull_progress_timeout"},
	{"image_pull_with_sync_fs", criImages, "image_pull_with_sync_fs"},
	{"stats_collect_period", criImages, "stats_collect_period"},
	{"containerd/snapshotter", criImages, "snapshotter"},
	{"containerd/disable_snapshot_annotations", criImages, "disable_snapshot_annotations"},
	{"containerd/discard_unpacked_layers", criImages, "discard_unpacked_layers"},
	{"containerd/runtimes/*/sandbox_mode", criRuntime, "containerd/runtimes/*/sandboxer"},
	{"cni/bin_dir", criRuntime, "cni/bin_dirs"},
	{"disable_tcp_service", criV2, "disable_tcp_service"},
	{"stream_server_address", criV2, "stream_server_address"},
	{"stream_server_port", criV2, "stream_server_port"},
	{"stream_idle_timeout", criV2, "stream_idle_timeout"},
	{"enable_tls_streaming", criV2, "enable_tls_streaming"},
	{"x509_key_pair_streaming", criV2, "x509_key_pair_streaming"},
	{"enable_cdi", "", ""}, // always on
}

// movePath is a path below the old plugin as one below "plugins"; not ok when
// the setting is no more.
func movePath(path []string) (moved []string, ok bool) {
	for _, m := range criMoves {
		from := strings.Split(m.from, "/")
		if len(path) < len(from) || !slices.EqualFunc(from, path[:len(from)], func(f, s string) bool { return f == "*" || f == s }) {
			continue
		}
		if m.plugin == "" {
			return nil, false
		}
		to := strings.Split(m.to, "/")
		for i := range to {
			if to[i] == "*" {
				to[i] = path[i]
			}
		}
		return append(append([]string{m.plugin}, to...), path[len(from):]...), true
	}
	return append([]string{criRuntime}, path...), true
}

// table is a TOML table.
type table = map[string]any

// tomlPatch is a patch of containerd's configuration; version 0 when it names
// none.
type tomlPatch struct {
	version int64
	text    string
}

// containerdPatches checks TOML patches and turns those of version 2 into
// version 3's form. As under kind, a patch that names another version than the
// configuration's is left out when the list has one that names the right one.
func containerdPatches(texts []patchText, p *problems) []string {
	var list []tomlPatch
	newest := int64(0)
	for _, t := range texts {
		patch, ok := readTOMLPatch(t, p)
		if ok {
			list = append(list, patch)
			newest = max(newest, patch.version)
		}
	}
	var out []string
	for _, patch := range list {
		if patch.text != "" && (patch.version == 0 || patch.version == newest) {
			out = append(out, patch.text)
		}
	}
	return out
}

func readTOMLPatch(t patchText, p *problems) (tomlPatch, bool) {
	var doc table
	if err := toml.Unmarshal([]byte(t.text), &doc); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, column := at.Position()
			p.add(t.field, "", "not valid TOML in the patch's line %d, column %d: %s", row, column, strings.TrimPrefix(err.Error(), "toml: "))
		} else {
			p.add(t.field, "", "not valid TOML: %v", err)
		}
		return tomlPatch{}, false
	}
	version, _ := doc["version"].(int64)
	if version > 3 {
		p.add(t.field, "write it for version 3", "a patch for version %d of containerd's configuration cannot be used", version)
		return tomlPatch{}, false
	}
	delete(doc, "version")
	upgradeTOML(doc)
	text, err := encodeTOML(doc)
	if err != nil {
		p.add(t.field, "", "in the patch: %v", err)
	}
	return tomlPatch{version, text}, err == nil
}

// upgradeTOML moves the old CRI plugin's settings to where they live now.
func upgradeTOML(doc table) {
	plugins, _ := doc["plugins"].(table)
	for _, name := range []string{criV2, "cri"} {
		old, ok := plugins[name].(table)
		if !ok {
			continue
		}
		delete(plugins, name)
		eachLeaf(old, nil, func(path []string, value any) {
			moved, ok := movePath(path)
			if !ok {
				return
			}
			if s, isString := value.(string); isString && slices.Equal(path, []string{"cni", "bin_dir"}) {
				value = []string{s}
			}
			put(plugins, moved, value)
		})
	}
	preferMirrors(plugins)
}

// preferMirrors clears the registry's config_path where a patch brings
// registry mirrors: containerd refuses to start with both.
func preferMirrors(plugins table) {
	images, _ := plugins[criImages].(table)
	registry, _ := images["registry"].(table)
	if registry["mirrors"] != nil && registry["config_path"] == nil {
		registry["config_path"] = ""
	}
}

// eachLeaf visits what is not a table with something in it, in order.
func eachLeaf(t table, path []string, f func([]string, any)) {
	for _, key := range slices.Sorted(maps.Keys(t)) {
		at := append(slices.Clone(path), key)
		if sub, ok := t[key].(table); ok && len(sub) > 0 {
			eachLeaf(sub, at, f)
			continue
		}
		f(at, t[key])
	}
}

// put sets a value deep in tables, unless the new form says it already.
func put(t table, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		sub, ok := t[key].(table)
		if !ok {
			if t[key] != nil {
				return
			}
			sub = table{}
			t[key] = sub
		}
		t = sub
	}
	if last := path[len(path)-1]; t[last] == nil {
		t[last] = value
	}
}

func encodeTOML(doc table) (string, error) {
	var b bytes.Buffer
	e := toml.NewEncoder(&b)
	e.SetIndentTables(false)
	err := e.Encode(doc)
	return b.String(), err
}

// containerdJSONPatches checks RFC 6902 patches of containerd's configuration
// and turns paths of version 2 into version 3's. They come out as JSON.
func containerdJSONPatches(texts []patchText, p *problems) []string {
	var out []string
	for _, t := range texts {
		ops, ok := readOperations(t, p)
		if !ok {
			continue
		}
		var kept []operation
		for _, op := range ops {
			path, okPath := upgradePointer(op.path)
			from, okFrom := upgradePointer(op.from)
			if okPath && okFrom {
				op.path, op.from = path, from
				kept = append(kept, op)
			}
		}
		text, err := encodeOperations(kept)
		if err != nil {
			p.add(t.field, "", "in the patch: %v", err)
			continue
		}
		out = append(out, text)
	}
	return out
}

// upgradePointer is not ok for a setting that is no more.
func upgradePointer(path []string) ([]string, bool) {
	if len(path) < 3 || path[0] != "plugins" || path[1] != criV2 && path[1] != "cri" {
		return path, true
	}
	moved, ok := movePath(path[2:])
	return append([]string{"plugins"}, moved...), ok
}
