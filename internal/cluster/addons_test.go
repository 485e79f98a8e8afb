package cluster

import (
	"encoding/json"
	"testing"
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
