package config

import (
	"encoding/json"
	"io/fs"
	"path"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/configs"
)

// TestExamples resolves every example and holds it against the schema.
func TestExamples(t *testing.T) {
	files, err := fs.Glob(configs.Examples, "examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	root := readSchema(t)
	for _, file := range files {
		t.Run(path.Base(file), func(t *testing.T) {
			data, err := fs.ReadFile(configs.Examples, file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse(file, data, Flags{}, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSuffix(path.Base(file), ".yaml")
			compareGolden(t, "testdata/examples/"+name+".golden.json", c)
			if c.Name != name {
				t.Errorf("the cluster is called %s", c.Name)
			}
			for _, complaint := range root.complaints(decodeAny(t, data)) {
				t.Error(complaint)
			}
		})
	}
}

// TestSchemaRefuses holds mistakes against the schema, so that TestExamples
// cannot pass with a schema that allows everything.
func TestSchemaRefuses(t *testing.T) {
	root := readSchema(t)
	for _, spec := range []string{
		"nam: a", "name: A", "name: 1", "nodes: {}", "nodes: [{role: etcd}]", "nodes: [{count: 0}]",
		"nodes: [{cpus: [1]}]", "nodes: [{taints: [{key: a}]}]", "networking: {ipFamily: ipv5}",
		"networking: {apiServerPort: 70000}", "featureGates: {A: 1}", "patches: {kubelet: 1}",
		"ephemeral: [true]", "ephemeral: soon", "nodes: [{ephemeral: true}]",
	} {
		if len(root.complaints(decodeAny(t, []byte(kluster(spec))))) == 0 {
			t.Errorf("%s: the schema allows it", spec)
		}
		if _, err := Parse("f", []byte(kluster(spec)), Flags{}, testOptions()); err == nil && spec != "name: 1" {
			t.Errorf("%s: Parse allows it", spec)
		}
	}
}

func readSchema(t *testing.T) rootSchema {
	t.Helper()
	var root rootSchema
	if err := json.Unmarshal(configs.Schema, &root); err != nil {
		t.Fatal(err)
	}
	return root
}

func decodeAny(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
