package redact

import (
	"encoding/base64"
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// lastApplied is the annotation in which kubectl keeps a copy of an object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Object takes out of an object of Kubernetes what is of no use, and what must not be
// seen: a Secret's data, and in others the values of items (as variables of a
// container) whose names are those of secrets. What is written of it still has to go
// through Text.
func Object(object *unstructured.Unstructured) {
	object.SetManagedFields(nil)
	if object.GetKind() != "Secret" {
		items(object.Object)
		return
	}
	for _, field := range []string{"data", "stringData"} {
		values, _, _ := unstructured.NestedMap(object.Object, field)
		for key, value := range values {
			values[key] = fmt.Sprintf("(redacted, %d bytes)", size(field, value))
		}
		if values != nil {
			object.Object[field] = values
		}
	}
	unstructured.RemoveNestedField(object.Object, "metadata", "annotations", lastApplied)
}

// size is a Secret's value's.
func size(field string, value any) int {
	text := fmt.Sprint(value)
	if field == "data" {
		if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
			return len(plain)
		}
	}
	return len(text)
}

var secretName = regexp.MustCompile(`(?i)^(?:` + named + `|` + passwords + `)$`)

// items redacts the values of what has a name and a value, at any depth.
func items(part any) {
	switch part := part.(type) {
	case map[string]any:
		name, _ := part["name"].(string)
		if value, ok := part["value"].(string); ok && value != "" && secretName.MatchString(name) {
			part["value"] = "(redacted)"
		}
		for _, child := range part {
			items(child)
		}
	case []any:
		for _, child := range part {
			items(child)
		}
	}
}
