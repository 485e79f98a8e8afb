package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// yamlError is a syntax error with its place.
type yamlError struct {
	at      position
	message string
}

func (e *yamlError) Error() string {
	if e.at.line == 0 {
		return e.message
	}
	return fmt.Sprintf("line %d: %s", e.at.line, e.message)
}

// parseYAML returns the roots of all documents that are not empty, their
// anchors and merge keys resolved.
func parseYAML(data []byte) ([]*yaml.Node, error) {
	var roots []*yaml.Node
	budget := maxNodes
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, syntaxError(err)
		}
		if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
			continue
		}
		root, err := expand(doc.Content[0], &budget, 0)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
}

func syntaxError(err error) error {
	var load *yaml.LoadError
	if errors.As(err, &load) {
		at := position{load.Mark.Line, load.Mark.Column}
		return &yamlError{at, "not valid YAML: " + load.Message}
	}
	return &yamlError{message: "not valid " + strings.Replace(err.Error(), "yaml:", "YAML:", 1)}
}

// encodeYAML is the text of a node.
func encodeYAML(n *yaml.Node) string {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	// A tree of nodes that was parsed, written to memory, always encodes.
	_ = e.Encode(n)
	_ = e.Close()
	return b.String()
}

// get returns the value of a mapping's key, or nil.
func get(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// set gives a mapping's key a value; the key comes first when it is new.
func set(n *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append([]*yaml.Node{text(key), value}, n.Content...)
}

// remove takes a key out of a mapping.
func remove(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = append(n.Content[:i:i], n.Content[i+2:]...)
			return
		}
	}
}

// text is a string node.
func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
