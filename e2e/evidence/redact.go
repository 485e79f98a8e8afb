package evidence

import (
	"encoding/base64"
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// redactions are what no text may show, each with what is shown instead.
var redactions = []struct {
	what *regexp.Regexp
	with string
}{
	// A signed token: two parts of JSON in base64, and the signature.
	{regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*`), "(token)"},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}`), "$1 (credentials)"},
	{regexp.MustCompile(`(?s)-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)`), "(private key)"},
	// A bootstrap token, and fields of a kubeconfig file, as YAML, JSON or a flag.
	{regexp.MustCompile(`(?i)\b(token[ \t]+)[a-z0-9]{6}\.[a-z0-9]{16}\b`), "$1(redacted)"},
	{regexp.MustCompile(`(?i)\b((?:client-key-data|[a-z-]*token|password|passwd)\\?["']?[ \t]*[:=][ \t]*\\?["']?)[A-Za-z0-9+/=._-]{8,}`), "$1(redacted)"},
}

// redact takes out of a text what must not be seen.
func redact(text []byte) []byte {
	for _, r := range redactions {
		text = r.what.ReplaceAll(text, []byte(r.with))
	}
	return text
}

// lastApplied is the annotation in which kubectl keeps a copy of an object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// strip takes out of an object what is of no use, and a Secret's data.
func strip(object *unstructured.Unstructured) {
	object.SetManagedFields(nil)
	if object.GetKind() != "Secret" {
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
