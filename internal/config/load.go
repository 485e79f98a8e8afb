package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

// maxFileSize is far above any real configuration's.
const maxFileSize = 1 << 20

// Load reads a configuration file, or stdin when path is "-", and resolves it
// with the flags. The error is an *Invalid, a file that cannot be read
// included.
func Load(path string, stdin io.Reader, f Flags, o Options) (*Cluster, error) {
	name, data, err := ReadFile(path, stdin)
	if err != nil {
		return nil, err
	}
	return Parse(name, data, f, o)
}

// ReadFile gives the content of a file, or of stdin when path is "-", and its name for
// messages. The error is an *Invalid.
func ReadFile(path string, stdin io.Reader) (name string, data []byte, err error) {
	name, in := path, stdin
	if path == "-" {
		name = "standard input"
	} else {
		file, err := os.Open(path)
		if err != nil {
			return name, nil, unreadable(path, err)
		}
		defer file.Close()
		in = file
	}
	if data, err = io.ReadAll(io.LimitReader(in, maxFileSize+1)); err != nil {
		return name, nil, unreadable(name, err)
	}
	return name, data, nil
}

func unreadable(name string, err error) error {
	message, hint := "cannot be read: "+err.Error(), ""
	var path *fs.PathError
	switch {
	case errors.Is(err, syscall.EISDIR):
		message, hint = "is a directory, not a configuration file", "name a file in it"
	case errors.Is(err, fs.ErrNotExist):
		message = "no such file"
	case errors.As(err, &path):
		message = "cannot be read: " + path.Err.Error()
	}
	return &Invalid{Problems: []Problem{{File: name, Message: message, Hint: hint}}}
}

// Parse resolves a configuration file's content, kluster's or kind's, with the
// flags, which win over it. name is the file's, for messages. The error is an
// *Invalid with every problem there is.
func Parse(name string, data []byte, f Flags, o Options) (*Cluster, error) {
	p := &problems{file: name, at: map[string]position{}}
	root, ok := readRoot(data, p, "start with apiVersion: "+v1alpha1.APIVersion, "one cluster has one document")
	if !ok {
		return nil, p.err()
	}
	w, ok := readWish(root, p)
	if !ok {
		return nil, p.err()
	}
	w.applyFlags(f, p)
	return resolve(w, o, p)
}

// readRoot is the one document of a file. begin and single are hints for a file that has
// none, or several.
func readRoot(data []byte, p *problems, begin, single string) (*yaml.Node, bool) {
	if complaint := notText(data); complaint != "" {
		p.add("", "", "%s", complaint)
		return nil, false
	}
	roots, err := parseYAML(data)
	var syntax *yamlError
	switch {
	case errors.As(err, &syntax):
		p.at[""] = syntax.at
		p.add("", "", "%s", syntax.message)
	case len(roots) == 0:
		p.add("", begin, "the file is empty")
	case len(roots) > 1:
		p.at[""] = position{roots[1].Line, roots[1].Column}
		p.add("", single, "the file holds %d YAML documents", len(roots))
	case roots[0].Kind != yaml.MappingNode:
		p.at[""] = position{roots[0].Line, roots[0].Column}
		p.add("", begin, "must be a mapping, not a %s", kindName(roots[0]))
	default:
		return roots[0], true
	}
	return nil, false
}

func notText(data []byte) string {
	switch {
	case len(data) > maxFileSize:
		return fmt.Sprintf("the file is larger than %d MiB", maxFileSize>>20)
	case !utf8.Valid(data) || bytes.ContainsRune(data, 0):
		return "the file is not UTF-8 text"
	}
	return ""
}

// readWish decodes a document by its apiVersion; it is not ok when that is
// none of those known.
func readWish(root *yaml.Node, p *problems) (wish, bool) {
	if !checkType(root, p) {
		return wish{}, false
	}
	if get(root, "apiVersion").Value == kindAPIVersion {
		var k kindCluster
		decode(root, &k, p)
		return fromKind(k, p), true
	}
	w := wish{from: fileSources()}
	decode(root, &w.Cluster, p)
	w.patches = filePatches(w.Patches, "patches", p)
	for i, n := range w.Nodes {
		w.nodePatches = append(w.nodePatches, filePatches(n.Patches, item("nodes", i)+".patches", p))
	}
	return w, true
}

// checkType checks apiVersion and kind.
func checkType(root *yaml.Node, p *problems) bool {
	versions := []string{v1alpha1.APIVersion, kindAPIVersion}
	for _, want := range []struct {
		field string
		known []string
	}{{"apiVersion", versions}, {"kind", []string{v1alpha1.Kind}}} {
		n := get(root, want.field)
		if isNull(n) || n.Kind != yaml.ScalarNode {
			p.at[want.field] = position{root.Line, root.Column}
			p.add(want.field, "", "must be given, as %s", alternatives(want.known))
			return false
		}
		p.at[want.field] = position{n.Line, n.Column}
		if !slices.Contains(want.known, n.Value) {
			p.add(want.field, nearest(n.Value, want.known), "must be %s, not %s", alternatives(want.known), quote(n.Value))
			return false
		}
	}
	return true
}
