package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/failure"
	nodeimage "github.com/kluster-project/kluster/node-image"
)

func object(apiVersion, kind, name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}}
}

func TestStagesOfAnAddon(t *testing.T) {
	stages := inStages([]*unstructured.Unstructured{
		object("example.com/v1", "Thing", "t"),
		object("apps/v1", "Deployment", "d"),
		object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "things.example.com"),
		object("rbac.authorization.k8s.io/v1", "ClusterRole", "r"),
		object("apiregistration.k8s.io/v1", "APIService", "a"),
		object("gateway.networking.k8s.io/v1", "GatewayClass", "g"),
		object("v1", "Namespace", "n"),
	})
	var got [][]string
	for _, s := range stages {
		var names []string
		for _, o := range s {
			names = append(names, o.GetName())
		}
		got = append(got, names)
	}
	want := [][]string{{"things.example.com", "n"}, {"d", "r", "a"}, {"t", "g"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatObjectsLack(t *testing.T) {
	for name, test := range map[string]struct {
		kind, want   string
		spec, status map[string]any
	}{
		"kind not there yet": {crdKind, "it is not Established yet", nil, nil},
		"kind":               {crdKind, "", nil, conditions("Established", "True")},
		"API refused":        {"APIService", "MissingEndpoints none of them", nil, conditions("Available", "False")},
		"API":                {"APIService", "", nil, conditions("Available", "True")},
		"deployment unseen":  {"Deployment", "its controller has not seen it yet", nil, map[string]any{"availableReplicas": int64(1)}},
		"deployment starting": {
			"Deployment", "availableReplicas 1 of 2",
			map[string]any{"replicas": int64(2)},
			map[string]any{"observedGeneration": int64(3), "updatedReplicas": int64(2), "availableReplicas": int64(1)},
		},
		"deployment of one": {"Deployment", "", nil, map[string]any{"observedGeneration": int64(3), "updatedReplicas": int64(1), "availableReplicas": int64(1)}},
		"daemons starting": {
			"DaemonSet", "numberAvailable 0 of 2", nil,
			map[string]any{"observedGeneration": int64(3), "desiredNumberScheduled": int64(2), "updatedNumberScheduled": int64(2)},
		},
		"daemons of nowhere": {"DaemonSet", "", nil, map[string]any{"observedGeneration": int64(3)}},
	} {
		o := object("x/v1", test.kind, "o")
		o.SetGeneration(3)
		o.Object["spec"], o.Object["status"] = test.spec, test.status
		if got := lacks[test.kind](o); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func conditions(kind, is string) map[string]any {
	return map[string]any{"conditions": []any{
		map[string]any{"type": "Other", "status": "False"},
		map[string]any{"type": kind, "status": is, "reason": "MissingEndpoints", "message": "none of them"},
	}}
}

func TestObjectsThatANewVersionLacks(t *testing.T) {
	ref := func(version, kind, name string) objectReference {
		return objectReference{APIVersion: version, Kind: kind, Name: name}
	}
	before := &record{Stages: [][]objectReference{
		{ref("apiextensions.k8s.io/v1beta1", crdKind, "things")}, {ref("v1", "Secret", "a"), ref("v1", "ConfigMap", "a")},
	}}
	now := record{Stages: [][]objectReference{{ref("apiextensions.k8s.io/v1", crdKind, "things")}, {ref("v1", "ConfigMap", "a")}}}
	if diff := cmp.Diff([][]objectReference{{ref("v1", "Secret", "a")}}, before.without(now)); diff != "" {
		t.Error(diff)
	}
	if gone := (*record)(nil).without(now); gone != nil {
		t.Errorf("of nothing, %v is gone", gone)
	}
}

func TestUninstallOrder(t *testing.T) {
	have := []record{{Name: "a"}, {Name: "b", Requires: []string{"a"}}, {Name: "c", Requires: []string{"b", "a"}}, {Name: "d"}}
	going, err := leaving(have, []string{"a", "b", "c", "a"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range going {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"c", "b", "a"}, names); diff != "" {
		t.Error(diff)
	}
	for name, names := range map[string][]string{"not installed": {"d", "x"}, "required": {"b"}} {
		if _, err := leaving(have, names); failure.Code(err) != failure.CodeUsage || len(failure.Hints(err)) == 0 {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

// TestAddonsFit holds the table of add-ons to that of components: every image is one
// that nodes have or that can be brought, every file is of a module graph.
func TestAddonsFit(t *testing.T) {
	table, err := addons.Load()
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := nodeimage.LoadCatalog()
	if err != nil {
		t.Fatal(err)
	}
	graphs := map[string]bool{}
	for _, g := range catalog.Graphs {
		graphs[g.Name] = true
	}
	onDemand, err := nodeimage.OnDemandImages()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	artifacts := addons.ArtifactsOf(table.All())
	for _, name := range artifacts.Images {
		used[name] = true
		if onDemand[name] == "" {
			t.Errorf("image %s of an add-on is no image on demand", name)
		}
	}
	for name := range onDemand {
		if !used[name] {
			t.Errorf("image %s is of no add-on", name)
		}
	}
	for _, f := range artifacts.Files {
		if !graphs[f.Graph] {
			t.Errorf("file %s is of no module graph", f.Path)
		}
	}
}

// TestOthersObjectsAreLeftAlone refuses an add-on whose objects somebody else has made.
func TestOthersObjectsAreLeftAlone(t *testing.T) {
	own, others := object("v1", "Namespace", "own"), object("v1", "Namespace", "others")
	own.SetLabels(map[string]string{addonLabel: "a"})
	client := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), own.DeepCopy(), others.DeepCopy())
	fresh := object("example.com/v1", "Thing", "t")
	if err := refuseOthers(t.Context(), client, "a", []*unstructured.Unstructured{own, fresh}); err != nil {
		t.Error(err)
	}
	err := refuseOthers(t.Context(), client, "a", []*unstructured.Unstructured{own, others})
	if err == nil || !strings.Contains(err.Error(), "Namespace others") || len(failure.Hints(err)) == 0 {
		t.Errorf("err = %v", err)
	}
}
