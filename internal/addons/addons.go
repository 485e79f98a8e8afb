// Package addons renders what kluster puts into a fresh cluster beside what
// kubeadm does, as objects for a server-side apply.
package addons

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

//go:embed manifests/*.yaml
var files embed.FS

// Addon is one addition to a cluster.
type Addon struct {
	Name string
	file string
	// late: nothing of a create waits for it, and its pods would take processors
	// from those that it does wait for.
	late bool
	// wanted says whether a cluster with these values gets it.
	wanted func(Values) bool
}

// OCILabel is, with the name of an OCI runtime behind it, the label of nodes whose
// pods can pick that.
const OCILabel = "oci.kluster.dev/"

// Values are what the manifests depend on.
type Values struct {
	ProvisionerImage string // of local-path-provisioner
	HelperImage      string // with sh, mkdir and rm
	PodNetwork       bool   // whether kluster's own pod network is used
	// OCIRuntimes are those that pods can pick on some node.
	OCIRuntimes []string
}

var runtimeClasses = Addon{"runtime classes", "runtime-classes.yaml", true, func(v Values) bool { return len(v.OCIRuntimes) > 0 }}

var all = []Addon{
	{"pod network roles", "pod-network.yaml", false, func(v Values) bool { return v.PodNetwork }},
	runtimeClasses,
	{"default storage class", "local-path.yaml", true, func(Values) bool { return true }},
}

// Early gives the objects that a cluster needs to get ready, in the order to apply
// them.
func Early(v Values) ([]*unstructured.Unstructured, error) { return render(v, false) }

// Late gives those that can wait until pods of the others run.
func Late(v Values) ([]*unstructured.Unstructured, error) { return render(v, true) }

// RuntimeClasses gives those of OCI runtimes.
func RuntimeClasses(names []string) ([]*unstructured.Unstructured, error) {
	v := Values{OCIRuntimes: names}
	if !runtimeClasses.wanted(v) {
		return nil, nil
	}
	return runtimeClasses.render(v)
}

func render(v Values, late bool) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, a := range all {
		if a.late != late || !a.wanted(v) {
			continue
		}
		objects, err := a.render(v)
		if err != nil {
			return nil, fmt.Errorf("rendering add-on %q: %w", a.Name, err)
		}
		out = append(out, objects...)
	}
	return out, nil
}

func (a Addon) render(v Values) ([]*unstructured.Unstructured, error) {
	t, err := template.New(a.file).Option("missingkey=error").ParseFS(files, "manifests/"+a.file)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, v); err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for documents := yaml.NewYAMLOrJSONDecoder(&text, 4096); ; {
		o := &unstructured.Unstructured{}
		err := documents.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}
