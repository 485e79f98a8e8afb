package addons

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// kinds indexes objects by "Kind name".
func kinds(objects []*unstructured.Unstructured) map[string]*unstructured.Unstructured {
	all := map[string]*unstructured.Unstructured{}
	for _, o := range objects {
		all[o.GetKind()+" "+o.GetName()] = o
	}
	return all
}

func table(t *testing.T) *Table {
	t.Helper()
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func builtIn(t *testing.T, part Part, v Values) []*unstructured.Unstructured {
	t.Helper()
	if v.Images == nil {
		v.Images = map[string]string{"local-path-provisioner": "example.com/provisioner:1", "busybox": "example.com/busybox:1"}
	}
	objects, err := table(t).BuiltIn(part, v)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// rendered are all objects of a cluster with these values, and fails where one
// comes twice.
func rendered(t *testing.T, v Values) map[string]*unstructured.Unstructured {
	t.Helper()
	objects := append(builtIn(t, Early, v), builtIn(t, Late, v)...)
	all := kinds(objects)
	if len(all) != len(objects) {
		t.Error("an object is in two add-ons")
	}
	return all
}

func TestRender(t *testing.T) {
	all := rendered(t, Values{PodNetwork: true})
	for _, want := range []string{
		"ClusterRole kluster:pod-network", "ClusterRoleBinding kluster:pod-network",
		"StorageClass standard", "Deployment local-path-provisioner", "ConfigMap local-path-config",
	} {
		if _, ok := all[want]; !ok {
			t.Errorf("no %s", want)
		}
	}
	class := all["StorageClass standard"]
	if class.GetAnnotations()["storageclass.kubernetes.io/is-default-class"] != "true" {
		t.Error("the storage class is not the default one")
	}
	deployment := all["Deployment local-path-provisioner"]
	containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	if err != nil || len(containers) != 1 {
		t.Fatalf("containers %v, %v", containers, err)
	}
	if diff := cmp.Diff("example.com/provisioner:1", containers[0].(map[string]any)["image"]); diff != "" {
		t.Error(diff)
	}
	// The service account that helper pods get must be one that is made here.
	account, _, err := unstructured.NestedString(deployment.Object, "spec", "template", "spec", "serviceAccountName")
	if _, ok := all["ServiceAccount "+account]; err != nil || !ok {
		t.Errorf("service account %q is not made: %v", account, err)
	}
}

func TestRenderWithoutPodNetwork(t *testing.T) {
	all := rendered(t, Values{})
	if _, ok := all["ClusterRole kluster:pod-network"]; ok {
		t.Error("roles of a pod network that is not there")
	}
	if _, ok := all["StorageClass standard"]; !ok {
		t.Error("no storage class")
	}
}

func TestNothingEarlyRunsPods(t *testing.T) {
	for _, o := range builtIn(t, Early, Values{PodNetwork: true}) {
		if _, ok, _ := unstructured.NestedMap(o.Object, "spec", "template"); ok {
			t.Errorf("%s %s takes processors from what a create waits for", o.GetKind(), o.GetName())
		}
	}
}

func TestRuntimeClasses(t *testing.T) {
	all := rendered(t, Values{OCIRuntimes: []string{"runc", "crun"}})
	for _, name := range []string{"runc", "crun"} {
		class := all["RuntimeClass "+name]
		if class == nil {
			t.Fatalf("no class %s", name)
		}
		nodes, _, err := unstructured.NestedStringMap(class.Object, "scheduling", "nodeSelector")
		if diff := cmp.Diff(map[string]string{OCILabel + name: "true"}, nodes); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if handler := class.Object["handler"]; handler != name {
			t.Errorf("class %s has handler %v", name, handler)
		}
	}
	if all := rendered(t, Values{}); all["RuntimeClass runc"] != nil {
		t.Error("a class that no node has")
	}
}
