// Package addons renders what kluster puts into a fresh cluster beside what
// kubeadm does, as manifests for a server-side apply.
package addons

import (
	"bytes"
	"embed"
	"fmt"
	"text/template"
)

//go:embed manifests/*.yaml
var files embed.FS

// Addon is one addition to a cluster.
type Addon struct {
	Name string
	file string
	// wanted says whether a cluster with these values gets it.
	wanted func(Values) bool
}

// Values are what the manifests depend on.
type Values struct {
	ProvisionerImage string // of local-path-provisioner
	HelperImage      string // with sh, mkdir and rm
	PodNetwork       bool   // whether kluster's own pod network is used
}

var all = []Addon{
	{"pod network roles", "pod-network.yaml", func(v Values) bool { return v.PodNetwork }},
	{"default storage class", "local-path.yaml", func(Values) bool { return true }},
}

// Render gives the manifests of all add-ons wanted, as one YAML stream.
func Render(v Values) ([]byte, error) {
	var out bytes.Buffer
	for _, a := range all {
		if !a.wanted(v) {
			continue
		}
		t, err := template.New(a.file).Option("missingkey=error").ParseFS(files, "manifests/"+a.file)
		if err != nil {
			return nil, fmt.Errorf("reading add-on %q: %w", a.Name, err)
		}
		out.WriteString("---\n")
		if err := t.Execute(&out, v); err != nil {
			return nil, fmt.Errorf("rendering add-on %q: %w", a.Name, err)
		}
	}
	return out.Bytes(), nil
}
