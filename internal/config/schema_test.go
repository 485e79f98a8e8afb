package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// schema is the part of JSON Schema that the configuration's schema uses.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       string            `json:"type"`
	Enum       []any             `json:"enum"`
	Pattern    string            `json:"pattern"`
	MaxLength  *int              `json:"maxLength"`
	Minimum    *float64          `json:"minimum"`
	Maximum    *float64          `json:"maximum"`
	MaxItems   *int              `json:"maxItems"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	OneOf      []schema          `json:"oneOf"`
	// Additional is false, a schema, or not there.
	Additional json.RawMessage `json:"additionalProperties"`
}

type rootSchema struct {
	schema
	Defs map[string]schema `json:"$defs"`
}

// complaints says how a value, as encoding/json decodes it, breaks the schema.
func (r rootSchema) complaints(value any) []string { return r.check(r.schema, value, "") }

func (r rootSchema) check(s schema, value any, path string) (out []string) {
	if s.Ref != "" {
		return r.check(r.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")], value, path)
	}
	complain := func(format string, args ...any) {
		out = append(out, path+": "+fmt.Sprintf(format, args...))
	}
	if len(s.OneOf) > 0 {
		fits := slices.DeleteFunc(slices.Clone(s.OneOf), func(one schema) bool { return len(r.check(one, value, path)) > 0 })
		if len(fits) != 1 {
			complain("fits %d of the forms", len(fits))
		}
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		complain("%v is none of %v", value, s.Enum)
	}
	switch v := value.(type) {
	case string:
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) || s.MaxLength != nil && len(v) > *s.MaxLength {
			complain("%q does not match", v)
		}
	case float64:
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			complain("%v is out of range", v)
		}
	case []any:
		if s.MaxItems != nil && len(v) > *s.MaxItems {
			complain("%d items", len(v))
		}
		for i, e := range v {
			if s.Items != nil {
				out = append(out, r.check(*s.Items, e, fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	case map[string]any:
		out = append(out, r.checkObject(s, v, path)...)
	}
	if types := map[string]bool{
		"string": is[string](value), "boolean": is[bool](value), "number": is[float64](value),
		"integer": is[float64](value), "array": is[[]any](value), "object": is[map[string]any](value),
	}; s.Type != "" && !types[s.Type] {
		complain("%v is no %s", value, s.Type)
	}
	return out
}

func (r rootSchema) checkObject(s schema, v map[string]any, path string) (out []string) {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			out = append(out, path+": lacks "+name)
		}
	}
	for name, e := range v {
		at := path + "." + name
		if p, ok := s.Properties[name]; ok {
			out = append(out, r.check(p, e, at)...)
			continue
		}
		var other schema
		switch {
		case string(s.Additional) == "false":
			out = append(out, at+": unknown")
		case json.Unmarshal(s.Additional, &other) == nil:
			out = append(out, r.check(other, e, at)...)
		}
	}
	return out
}

func is[T any](v any) bool {
	_, ok := v.(T)
	return ok
}
