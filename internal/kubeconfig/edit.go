package kubeconfig

import (
	"bytes"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v4"
	"k8s.io/client-go/tools/clientcmd"
)

// lists are a kubeconfig's lists of named things.
var lists = []string{"clusters", "contexts", "users"}

// withEntry gives data with e in it, replacing what has its name, and with e's
// context as the current one.
func withEntry(data []byte, e Entry) ([]byte, error) {
	rendered, err := Render(e)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return rendered, nil
	}
	return edit(data, func(root *yaml.Node) error {
		from, err := document(rendered)
		if err != nil {
			return err
		}
		for _, l := range lists {
			seq, err := sequence(root, l)
			if err != nil {
				return err
			}
			put(seq, e.Name, field(from, l).Content[0])
		}
		set(root, "current-context", text(e.Name))
		return nil
	})
}

// withoutEntry gives data without the cluster, user and context name, and without
// a current context if that was it. The result is data itself if there is nothing
// to remove.
func withoutEntry(data []byte, name string) ([]byte, error) {
	if len(bytes.TrimSpace(data)) == 0 { // another program has just removed the file
		return data, nil
	}
	changed := false
	out, err := edit(data, func(root *yaml.Node) error {
		for _, l := range lists {
			seq, err := sequence(root, l)
			if err != nil {
				return err
			}
			changed = drop(seq, name) || changed
			if len(seq.Content) == 0 {
				liftComment(root, l)
			}
		}
		if c := field(root, "current-context"); c != nil && c.Value == name {
			set(root, "current-context", text(""))
			changed = true
		}
		return nil
	})
	if err != nil || !changed {
		return data, err
	}
	return out, nil
}

// edit applies f to the document in data. What comes in and what goes out must
// be a kubeconfig to client-go.
func edit(data []byte, f func(root *yaml.Node) error) ([]byte, error) {
	if _, err := clientcmd.Load(data); err != nil {
		return nil, fmt.Errorf("not a kubeconfig: %w", err)
	}
	root, err := document(data)
	if err != nil {
		return nil, err
	}
	if err := f(root); err != nil {
		return nil, err
	}
	out, err := yaml.Dump(root)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	if _, err := clientcmd.Load(out); err != nil {
		return nil, fmt.Errorf("the edited file would not be a kubeconfig: %w", err)
	}
	return out, nil
}

// document parses data, which must be one YAML document, a mapping.
func document(data []byte) (*yaml.Node, error) {
	var docs []yaml.Node
	if err := yaml.Load(data, &docs, yaml.WithAllDocuments()); err != nil {
		return nil, fmt.Errorf("not valid YAML: %w", err)
	}
	if len(docs) != 1 {
		return nil, fmt.Errorf("holds %d YAML documents, not one", len(docs))
	}
	root := &docs[0]
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("not a kubeconfig: not a mapping")
	}
	return root, nil
}
