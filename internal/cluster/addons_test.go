package cluster

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestMetadataPatchRemovesNothing(t *testing.T) {
	for want, patch := range map[string]map[string]any{
		`{}`:                                metadataPatch(nil, nil),
		`{"labels":{"a":null}}`:             metadataPatch(map[string]any{"a": nil}, nil),
		`{"annotations":{"socket":"unix"}}`: metadataPatch(map[string]any{}, map[string]string{"socket": "unix"}),
	} {
		got, err := json.Marshal(patch)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestResourcesOfKinds(t *testing.T) {
	for kind, want := range map[string]string{
		"Gateway": "gateways", "NetworkPolicy": "networkpolicies", "IngressClass": "ingressclasses", "HTTPRoute": "httproutes", "Key": "keys",
	} {
		if got := resourceOf(schema.GroupVersionKind{Kind: kind}).Resource; got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
}
