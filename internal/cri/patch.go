package cri

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"

	"github.com/pelletier/go-toml/v2"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/yaml"
)

// tomlTree is a TOML table of which we know only what we put in: users patch
// in whatever their runtime's version knows.
type tomlTree = map[string]any

// patched merges TOML documents over base, applies RFC 6902 patches to the
// result and writes it as TOML.
func patched(base tomlTree, merges, jsonPatches []string) ([]byte, error) {
	for i, text := range merges {
		var over tomlTree
		if err := toml.Unmarshal([]byte(text), &over); err != nil {
			return nil, fmt.Errorf("reading runtime patch %d as TOML: %w", i+1, err)
		}
		merge(base, over)
	}
	for i, text := range jsonPatches {
		var err error
		if base, err = applyJSON(base, text); err != nil {
			return nil, fmt.Errorf("applying runtime JSON patch %d: %w", i+1, err)
		}
	}
	var out bytes.Buffer
	enc := toml.NewEncoder(&out)
	enc.SetIndentTables(true)
	if err := enc.Encode(base); err != nil {
		return nil, fmt.Errorf("writing runtime configuration: %w", err)
	}
	return out.Bytes(), nil
}

// merge lays over onto base: tables are merged, all else is replaced.
func merge(base, over tomlTree) {
	for key, value := range over {
		below, isTable := base[key].(tomlTree)
		above, wantsTable := value.(tomlTree)
		if isTable && wantsTable {
			merge(below, above)
			continue
		}
		base[key] = value
	}
}

func applyJSON(base tomlTree, text string) (tomlTree, error) {
	ops, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(ops)
	if err != nil {
		return nil, err
	}
	doc, err := json.Marshal(base)
	if err != nil {
		return nil, err
	}
	if doc, err = patch.Apply(doc); err != nil {
		return nil, err
	}
	var out tomlTree
	if err := json.Unmarshal(doc, &out); err != nil {
		return nil, err
	}
	return integers(out).(tomlTree), nil
}

// integers turns JSON's whole numbers back into TOML integers: TOML tells 3
// from 3.0, and containerd refuses a version of 3.0.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = integers(value)
		}
	case []any:
		for i, value := range v {
			v[i] = integers(value)
		}
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	}
	return v
}
