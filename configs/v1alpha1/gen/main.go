// Command gen writes the JSON schema of kluster's configuration file to the
// file it is given. It is run by "go generate ./configs/v1alpha1".
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: gen FILE")
	}
	data, err := generate(reflect.TypeFor[v1alpha1.Cluster]().PkgPath(), ".")
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], data, 0o644)
}

// generate is the schema as JSON. Descriptions are the comments found in the
// folder source, whose import path is base followed by source.
func generate(base, source string) ([]byte, error) {
	r := &jsonschema.Reflector{ExpandedStruct: true, BaseSchemaID: "https://kluster.dev/schemas", Mapper: mixed}
	if err := r.AddGoComments(base, source, jsonschema.WithFullComment()); err != nil {
		return nil, fmt.Errorf("reading the comments of the types: %w", err)
	}
	for name, text := range r.CommentMap {
		r.CommentMap[name] = strings.Join(strings.Fields(text), " ")
	}
	schema := r.Reflect(v1alpha1.Cluster{})
	schema.ID = "https://kluster.dev/schemas/v1alpha1/cluster.json"
	schema.Title = "kluster " + v1alpha1.Kind
	data, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the schema: %w", err)
	}
	return append(data, '\n'), nil
}

// mixed is the schema of the types that are written in either of two forms.
func mixed(t reflect.Type) *jsonschema.Schema {
	forms := map[reflect.Type][]string{
		reflect.TypeFor[v1alpha1.Number]():   {"number", "string"},
		reflect.TypeFor[v1alpha1.Document](): {"object", "string"},
	}[t]
	if forms == nil {
		return nil
	}
	s := &jsonschema.Schema{}
	for _, form := range forms {
		s.OneOf = append(s.OneOf, &jsonschema.Schema{Type: form})
	}
	return s
}
