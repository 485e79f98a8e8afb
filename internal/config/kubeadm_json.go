package config

import (
	"slices"
	"strconv"

	yaml "go.yaml.in/yaml/v4"
)

// kindJSON6902 is a JSON patch of kubeadm's configuration in a kind file.
type kindJSON6902 struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
	Patch   string `json:"patch"`
	// Name and Namespace are of older kind files, and never meant a thing.
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// jsonPatch is one that was read.
type jsonPatch struct {
	field, kind string
	age         int
	ops         []operation
}

// kubeadmJSONPatches reads JSON patches. Their version says how they see
// arguments: "v1beta3" as the maps that these were up to that version, so that
// "/apiServer/extraArgs/v" is one of them, "v1beta4" as lists.
func kubeadmJSONPatches(specs []kindJSON6902, field string, p *problems) []JSON6902 {
	var patches []jsonPatch
	for i, spec := range specs {
		if j, ok := readJSONPatch(spec, item(field, i), p); ok {
			patches = append(patches, j)
		}
	}
	var out []JSON6902
	for _, j := range newestOnly(patches, func(j jsonPatch) (string, int) { return j.kind, j.age }) {
		text, err := encodeOperations(j.ops)
		if err != nil {
			p.add(j.field+".patch", "", "in the patch: %v", err)
			continue
		}
		out = append(out, JSON6902{Group: patchKinds[j.kind].group, Version: j.version(), Kind: j.kind, Patch: text})
	}
	return out
}

func readJSONPatch(spec kindJSON6902, field string, p *problems) (jsonPatch, bool) {
	apiVersion := ""
	if spec.Version != "" {
		group := spec.Group
		if group == "" {
			group = patchKinds[spec.Kind].group
		}
		apiVersion = group + "/" + spec.Version
	}
	age, ok := patchTarget(spec.Kind, apiVersion, field, p)
	if !ok {
		return jsonPatch{}, false
	}
	ops, ok := readOperations(patchText{field + ".patch", spec.Patch}, p)
	return jsonPatch{field, spec.Kind, age, ops}, ok
}

// version is the newest of the kind's, but kubeadm's last one with argument
// maps where the patch is for that or an older one, or looks like it.
func (j jsonPatch) version() string {
	known := patchKinds[j.kind].versions
	newest := len(known) - 1
	if newest > 0 && (j.age >= 0 && j.age < newest || j.age < 0 && slices.ContainsFunc(j.ops, mapsArgs)) {
		newest--
	}
	return known[newest]
}

// mapsArgs says whether an operation takes arguments for a map: its path goes
// on with a name, or its value holds such a map.
func mapsArgs(op operation) bool {
	for i, part := range op.path {
		if !argLists[part] {
			continue
		}
		if i+1 == len(op.path) {
			return op.value != nil && op.value.Kind == yaml.MappingNode
		}
		_, err := strconv.Atoi(op.path[i+1])
		return err != nil && op.path[i+1] != "-"
	}
	return op.value != nil && holdsArgMap(op.value)
}

func holdsArgMap(n *yaml.Node) bool {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if argLists[key] && value.Kind == yaml.MappingNode || holdsArgMap(value) {
			return true
		}
	}
	return false
}
