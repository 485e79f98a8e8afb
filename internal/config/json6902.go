package config

import (
	"encoding/json"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// operation is one step of an RFC 6902 patch.
type operation struct {
	op         string
	path, from []string   // the pointer's parts, unescaped
	value      *yaml.Node // nil when there is none
}

var operationNames = []string{"add", "remove", "replace", "move", "copy", "test"}

// readOperations parses an RFC 6902 patch, written as JSON or YAML.
func readOperations(t patchText, p *problems) (ops []operation, ok bool) {
	roots, err := parseYAML([]byte(t.text))
	switch {
	case err != nil:
		p.add(t.field, "", "in the patch: %v", err)
		return nil, false
	case len(roots) != 1 || roots[0].Kind != yaml.SequenceNode:
		p.add(t.field, `write it as [{"op": "add", "path": "/a/b", "value": "c"}]`, "the patch must be one list of operations")
		return nil, false
	}
	for _, n := range roots[0].Content {
		op, complaint := readOperation(n)
		if complaint != "" {
			p.add(t.field, "", "in the patch: operation %d %s", len(ops)+1, complaint)
			return nil, false
		}
		ops = append(ops, op)
	}
	return ops, true
}

func readOperation(n *yaml.Node) (op operation, complaint string) {
	if n.Kind != yaml.MappingNode {
		return op, "must be a mapping, not a " + kindName(n)
	}
	name := get(n, "op")
	if isNull(name) || !slices.Contains(operationNames, name.Value) {
		return op, "must have an op: " + alternatives(operationNames)
	}
	op = operation{op: name.Value, value: get(n, "value")}
	path, okPath := pointer(get(n, "path"))
	from, okFrom := pointer(get(n, "from"))
	op.path, op.from = path, from
	switch {
	case !okPath:
		return op, `must have a path that starts with "/"`
	case !okFrom && (op.op == "move" || op.op == "copy"):
		return op, `must have a from that starts with "/"`
	case op.value == nil && slices.Contains([]string{"add", "replace", "test"}, op.op):
		return op, "must have a value"
	}
	return op, ""
}

// pointer splits a JSON pointer (RFC 6901); "" is the whole document.
func pointer(n *yaml.Node) ([]string, bool) {
	if n == nil || n.Kind != yaml.ScalarNode || n.Value != "" && n.Value[0] != '/' {
		return nil, false
	}
	if n.Value == "" {
		return nil, true
	}
	parts := strings.Split(n.Value[1:], "/")
	for i, s := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return parts, true
}

func joinPointer(parts []string) string {
	var b strings.Builder
	for _, s := range parts {
		b.WriteString("/" + strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// encodeOperations is the patch as JSON.
func encodeOperations(ops []operation) (string, error) {
	list := []map[string]any{}
	for _, op := range ops {
		m := map[string]any{"op": op.op, "path": joinPointer(op.path)}
		if op.from != nil {
			m["from"] = joinPointer(op.from)
		}
		if op.value != nil {
			m["value"] = plain(op.value)
		}
		list = append(list, m)
	}
	data, err := json.Marshal(list)
	return string(data), err
}

// plain is a YAML tree as encoding/json takes it.
func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, plain(c))
		}
		return list
	}
	var v any
	if n.Decode(&v) != nil {
		return n.Value
	}
	switch v.(type) {
	case nil, bool, int, int64, uint64, float64, string:
		return v
	}
	return n.Value // a timestamp or the like
}
