package kubeconfig

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"
)

// field gives the value of key in a mapping, nil if there is none.
func field(m *yaml.Node, key string) *yaml.Node {
	if m.Kind == yaml.AliasNode {
		m = m.Alias
	}
	if m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// set puts value at key of a mapping.
func set(m *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = value
			return
		}
	}
	m.Content = append(m.Content, text(key), value)
}

// liftComment moves the comment behind a key to the line above it: the encoder
// puts an empty list on the next line otherwise, where it is not YAML.
func liftComment(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		k := m.Content[i]
		if k.Value == key && k.LineComment != "" && k.HeadComment == "" {
			k.HeadComment, k.LineComment = k.LineComment, ""
		}
	}
}

// sequence gives the list at key of a mapping, made if it is absent or null.
func sequence(m *yaml.Node, key string) (*yaml.Node, error) {
	n := field(m, key)
	if n == nil || n.Tag == "!!null" {
		n = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		set(m, key, n)
	}
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("not a kubeconfig: %s (line %d) is not a plain list", key, n.Line)
	}
	return n, nil
}

// put replaces the first thing called name in a list, or appends value, and drops
// further ones of that name.
func put(seq *yaml.Node, name string, value *yaml.Node) {
	i := slices.IndexFunc(seq.Content, named(name))
	if i < 0 {
		if len(seq.Content) == 0 {
			seq.Style = 0 // "[]" would become a one-line list
		}
		seq.Content = append(seq.Content, value)
		return
	}
	value.HeadComment = seq.Content[i].HeadComment
	drop(seq, name)
	seq.Content = slices.Insert(seq.Content, i, value)
}

// drop removes what is called name from a list, and says whether there was any.
func drop(seq *yaml.Node, name string) bool {
	before := len(seq.Content)
	seq.Content = slices.DeleteFunc(seq.Content, named(name))
	return len(seq.Content) < before
}

func named(name string) func(*yaml.Node) bool {
	return func(n *yaml.Node) bool {
		f := field(n, "name")
		return f != nil && f.Value == name
	}
}

func text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if s == "" {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
