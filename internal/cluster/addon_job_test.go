package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/status"
)

// applying is an API whose objects work as soon as they are applied, but for those that
// broken names.
func applying(t *testing.T, broken string) *dynamicfake.FakeDynamicClient {
	t.Helper()
	kinds := map[schema.GroupVersionResource]string{configMaps: "ConfigMapList", pods: "PodList"}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)
	client.PrependReactor("patch", "*", func(a ktesting.Action) (bool, runtime.Object, error) {
		patch := a.(ktesting.PatchAction)
		o := &unstructured.Unstructured{}
		if err := json.Unmarshal(patch.GetPatch(), &o.Object); err != nil {
			return true, nil, err
		}
		if o.GetKind() == "APIService" && o.GetName() != broken {
			o.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Available", "status": "True"}}}
		}
		err := client.Tracker().Create(patch.GetResource(), o, o.GetNamespace())
		if apierrors.IsAlreadyExists(err) {
			err = client.Tracker().Update(patch.GetResource(), o, o.GetNamespace())
		}
		return true, o, err
	})
	return client
}

// jobOf is an install of metrics-server with manifests of a test's own.
func jobOf(t *testing.T, client *dynamicfake.FakeDynamicClient, names ...string) *addonJob {
	t.Helper()
	var text strings.Builder
	for _, name := range names {
		kind, name, _ := strings.Cut(name, " ")
		text.WriteString("---\napiVersion: " + map[string]string{"Secret": "v1", "APIService": "apiregistration.k8s.io/v1"}[kind] +
			"\nkind: " + kind + "\nmetadata: {name: " + name + ", namespace: ns}\n")
	}
	return &addonJob{
		client: client, all: []addons.Addon{{Name: "x", Files: []addons.File{{}}}}, release: func() {},
		files: [][][][]byte{{{[]byte(text.String())}}},
	}
}

// there are the names of an API's objects of a few kinds.
func there(t *testing.T, client *dynamicfake.FakeDynamicClient) []string {
	t.Helper()
	var names []string
	for _, r := range []objectReference{
		{"v1", "ConfigMap", recordNamespace, recordPrefix + "x"},
		{"v1", "Secret", "ns", "a"},
		{"v1", "Secret", "ns", "b"},
		{"apiregistration.k8s.io/v1", "APIService", "ns", "api"},
	} {
		o, err := resource(client, r).Get(t.Context(), r.Name, metav1.GetOptions{})
		if err == nil {
			names = append(names, r.Name)
			if o.GetLabels()[addonLabel] != "x" {
				t.Errorf("%s does not say whose it is", r.Name)
			}
		}
	}
	return names
}

func TestInstallAndUninstall(t *testing.T) {
	client := applying(t, "")
	if err := jobOf(t, client, "Secret a", "APIService api", "Secret b").install(t.Context(), addons.Values{}, status.Discard); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{recordPrefix + "x", "a", "b", "api"}, there(t, client)); diff != "" {
		t.Error(diff)
	}
	// A version that lacks an object removes it.
	if err := jobOf(t, client, "Secret a", "APIService api").install(t.Context(), addons.Values{}, status.Discard); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{recordPrefix + "x", "a", "api"}, there(t, client)); diff != "" {
		t.Error(diff)
	}
	have, err := readRecords(t.Context(), client)
	if err != nil || len(have) != 1 || have[0].state() != "installed" {
		t.Fatalf("records %v, err = %v", have, err)
	}
	if err := have[0].uninstall(t.Context(), client, status.Discard); err != nil {
		t.Fatal(err)
	}
	if left := there(t, client); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	deleted := slices.DeleteFunc(client.Actions(), func(a ktesting.Action) bool { return a.GetVerb() != "delete" })
	if last := deleted[len(deleted)-1].(ktesting.DeleteAction); last.GetName() != recordPrefix+"x" {
		t.Errorf("what is deleted last is %s, and no record of the rest is left should that fail", last.GetName())
	}
}

// pendingPod is a pod of an add-on for which there is no node.
func pendingPod(name, addon string) *unstructured.Unstructured {
	o := object("v1", "Pod", name)
	o.SetNamespace("ns")
	o.SetLabels(map[string]string{addonLabel: addon})
	o.Object["status"] = map[string]any{"phase": "Pending", "conditions": []any{
		map[string]any{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"},
	}}
	return o
}

func TestPodsKnowTheirAddon(t *testing.T) {
	o := object("apps/v1", "Deployment", "d")
	o.Object["spec"] = map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "d"}}, "spec": map[string]any{}}}
	if err := mark(o, "x"); err != nil {
		t.Fatal(err)
	}
	labels, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
	if diff := cmp.Diff(map[string]string{"app": "d", addonLabel: "x"}, labels); diff != "" {
		t.Error(diff)
	}
}

func TestFailedInstallIsTakenBack(t *testing.T) {
	client := applying(t, "api")
	for name, of := range map[string]string{"stuck": "x", "another": "y"} {
		if err := client.Tracker().Create(pods, pendingPod(name, of), "ns"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, &timeoutError{time.Second})
	defer cancel()
	err := jobOf(t, client, "Secret a", "APIService api").install(ctx, addons.Values{}, status.Discard)
	var late *timeoutError
	if !errors.As(err, &late) || !strings.Contains(err.Error(), "add-on x: waiting for APIService api (it is not Available yet; pod stuck: pending, Unschedulable no room)") {
		t.Errorf("err = %v", err)
	}
	if left := there(t, client); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestFailedUpgradeStays: what worked before is not taken away by an install that fails.
func TestFailedUpgradeStays(t *testing.T) {
	client := applying(t, "api")
	if err := jobOf(t, client, "Secret a").install(t.Context(), addons.Values{}, status.Discard); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := jobOf(t, client, "Secret b", "APIService api").install(ctx, addons.Values{}, status.Discard); err == nil {
		t.Error("it never works")
	}
	if diff := cmp.Diff([]string{recordPrefix + "x", "a", "b", "api"}, there(t, client)); diff != "" {
		t.Error(diff)
	}
	have, err := readRecords(t.Context(), client)
	if err != nil || len(have) != 1 || have[0].state() != "incomplete" {
		t.Fatalf("records %v, err = %v", have, err)
	}
	if err := have[0].uninstall(t.Context(), client, status.Discard); err != nil {
		t.Fatal(err)
	}
	if left := there(t, client); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
