package config

import (
	"fmt"

	yaml "go.yaml.in/yaml/v4"
)

// Bounds of a file once its aliases are resolved, so that a small file cannot
// grow without end.
const (
	maxNodes = 100_000
	maxDepth = 100
)

// expand copies a tree with aliases replaced by what they stand for and merge
// keys ("<<") by the keys they bring. It keeps positions and drops comments.
func expand(n *yaml.Node, budget *int, depth int) (*yaml.Node, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if *budget--; *budget < 0 || depth > maxDepth {
		return nil, &yamlError{position{n.Line, n.Column}, "too deep, or too large once its aliases are resolved"}
	}
	out := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line, Column: n.Column}
	for _, child := range n.Content {
		c, err := expand(child, budget, depth+1)
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, c)
	}
	if n.Kind != yaml.MappingNode {
		return out, nil
	}
	return out, mergeKeys(out)
}

// mergeKeys resolves "<<" in a mapping: its own keys win, then earlier sources.
func mergeKeys(n *yaml.Node) error {
	own := n.Content
	n.Content = nil
	var sources []*yaml.Node
	for i := 0; i+1 < len(own); i += 2 {
		key, value := own[i], own[i+1]
		if key.ShortTag() != "!!merge" {
			n.Content = append(n.Content, key, value)
			continue
		}
		if value.Kind == yaml.SequenceNode {
			sources = append(sources, value.Content...)
		} else {
			sources = append(sources, value)
		}
	}
	have := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		have[n.Content[i].Value] = true
	}
	for _, s := range sources {
		if s.Kind != yaml.MappingNode {
			return &yamlError{position{s.Line, s.Column}, fmt.Sprintf("a merge key (<<) needs a mapping, not a %s", kindName(s))}
		}
		for i := 0; i+1 < len(s.Content); i += 2 {
			if name := s.Content[i].Value; !have[name] {
				have[name] = true
				n.Content = append(n.Content, s.Content[i], s.Content[i+1])
			}
		}
	}
	return nil
}

// kindName is how a message calls a node.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	}
	names := map[string]string{
		"!!str": "string", "!!int": "number", "!!float": "number", "!!bool": "true or false", "!!null": "nothing",
	}
	if name, ok := names[n.ShortTag()]; ok {
		return name
	}
	return n.ShortTag()
}
