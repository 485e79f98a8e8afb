package main

import (
	"os"
	"path"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

func TestSchemaIsCurrent(t *testing.T) {
	base := path.Join(reflect.TypeFor[v1alpha1.Cluster]().PkgPath(), "gen")
	want, err := generate(base, "..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("configs/schema.json is not what the types say; run: go generate ./configs/v1alpha1\n%s", diff)
	}
}
