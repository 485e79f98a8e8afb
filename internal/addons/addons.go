package addons

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"text/template"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// OCILabel is, with the name of an OCI runtime behind it, the label of nodes whose
// pods can pick that.
const OCILabel = "oci.kluster.dev/"

// Values are what the manifests depend on.
type Values struct {
	// Images are the whole names of container images by the last part of their
	// repositories. Templates have them as {{image "NAME"}}.
	Images map[string]string
	// PodNetwork: kluster's own pod network is used.
	PodNetwork bool
	// OCIRuntimes are those that pods can pick on some node.
	OCIRuntimes []string
	// Cluster is the cluster's name, Kubernetes its version, "v1.36.3", and Subnets
	// are those of its nodes' own network.
	Cluster, Kubernetes string
	Subnets             []netip.Prefix
}

func (v Values) functions() template.FuncMap {
	return template.FuncMap{"image": func(name string) (string, error) {
		if ref := v.Images[name]; ref != "" {
			return ref, nil
		}
		return "", fmt.Errorf("there is no image %q", name)
	}}
}

// expand fills in a template.
func (v Values) expand(name, text string) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(v.functions()).Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, v)
	return out.Bytes(), err
}

// BuiltIn gives the objects of a part that every cluster with these values gets, in
// the order to apply them.
func (t *Table) BuiltIn(part Part, v Values) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, a := range t.all {
		if a.BuiltIn != part {
			continue
		}
		objects, err := a.Render(v, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, objects...)
	}
	return out, nil
}

// RuntimeClasses gives those of OCI runtimes.
func (t *Table) RuntimeClasses(names []string) ([]*unstructured.Unstructured, error) {
	return t.find("runtime-classes").Render(Values{OCIRuntimes: names}, nil)
}

// Render gives an add-on's objects in the order to apply them. files are the texts of
// its Files, several where a file is a pattern.
func (a *Addon) Render(v Values, files [][][]byte) ([]*unstructured.Unstructured, error) {
	if len(files) != len(a.Files) {
		return nil, fmt.Errorf("add-on %s has %d files, and %d were given", a.Name, len(a.Files), len(files))
	}
	v.Images = maps.Clone(v.Images) // a template may name those that the table lists
	maps.DeleteFunc(v.Images, func(name, _ string) bool { return !slices.Contains(a.Images, name) })
	var out []*unstructured.Unstructured
	add := func(name string, text []byte) error {
		objects, err := decode(text)
		if err != nil {
			return fmt.Errorf("add-on %s: %s: %w", a.Name, name, err)
		}
		out = append(out, objects...)
		return nil
	}
	for i, texts := range files {
		for _, text := range texts {
			if err := add(a.Files[i].Path, text); err != nil {
				return nil, err
			}
		}
	}
	for _, m := range a.own {
		text, err := v.expand(m.name, m.text)
		if err != nil {
			return nil, fmt.Errorf("add-on %s: %w", a.Name, err)
		}
		if err := add(m.name, text); err != nil {
			return nil, err
		}
	}
	for _, p := range a.Patches {
		if err := p.apply(v, out); err != nil {
			return nil, fmt.Errorf("add-on %s: patch of %s %s: %w", a.Name, p.Kind, p.Name, err)
		}
	}
	return out, nil
}

// apply changes the objects that a patch is for.
func (p Patch) apply(v Values, objects []*unstructured.Unstructured) error {
	text, err := v.expand("patch", p.Patch)
	if err != nil {
		return err
	}
	operations, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	patch, err := jsonpatch.DecodePatch(operations)
	if err != nil {
		return err
	}
	found := false
	for _, o := range objects {
		if o.GetKind() != p.Kind || p.Name != "" && o.GetName() != p.Name {
			continue
		}
		found = true
		before, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		after, err := patch.Apply(before)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(after, &o.Object); err != nil {
			return err
		}
	}
	if !found {
		return errors.New("there is no such object")
	}
	return nil
}

// decode reads YAML documents. Empty documents are nothing.
func decode(text []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for documents := yamlutil.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		o := &unstructured.Unstructured{}
		err := documents.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(o.Object) == 0 {
			continue
		}
		if o.GetKind() == "" || o.GetName() == "" {
			return nil, errors.New("a document is no object: it has no kind or no name")
		}
		objects = append(objects, o)
	}
}
