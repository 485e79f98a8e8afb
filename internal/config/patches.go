package config

import (
	"maps"
	"slices"

	yaml "go.yaml.in/yaml/v4"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

// patchKinds are the kinds of kubeadm's configuration, with their API group
// and its versions, oldest first; patches are turned into the newest.
var patchKinds = map[string]patchKind{
	"InitConfiguration":      kubeadmKind,
	"ClusterConfiguration":   kubeadmKind,
	"JoinConfiguration":      kubeadmKind,
	"KubeletConfiguration":   {"kubelet.config.k8s.io", []string{"v1beta1"}},
	"KubeProxyConfiguration": {"kubeproxy.config.k8s.io", []string{"v1alpha1"}},
}

type patchKind struct {
	group    string
	versions []string
}

var kubeadmKind = patchKind{"kubeadm.k8s.io", []string{"v1beta1", "v1beta2", "v1beta3", "v1beta4"}}

func (k patchKind) newest() string { return k.group + "/" + k.versions[len(k.versions)-1] }

// kubePatch is one document of a patch of kubeadm's configuration.
type kubePatch struct {
	kind string
	// age is the index of its version, -1 when it names none: then it is for
	// every version.
	age  int
	node *yaml.Node
}

// readKubePatch checks what a document patches.
func readKubePatch(n *yaml.Node, field string, p *problems) (kubePatch, bool) {
	if n.Kind != yaml.MappingNode {
		p.add(field, "", "must be a mapping, not a %s", kindName(n))
		return kubePatch{}, false
	}
	kind, apiVersion := "", ""
	if k := get(n, "kind"); !isNull(k) {
		kind = k.Value
	}
	if v := get(n, "apiVersion"); !isNull(v) {
		apiVersion = v.Value
	}
	age, ok := patchTarget(kind, apiVersion, field, p)
	return kubePatch{kind: kind, age: age, node: n}, ok
}

func patchTarget(kind, apiVersion, field string, p *problems) (age int, ok bool) {
	known, ok := patchKinds[kind]
	if !ok {
		kinds := slices.Sorted(maps.Keys(patchKinds))
		message := "the patch does not name its kind"
		if kind != "" {
			message = "no kind " + quote(kind) + " to patch"
		}
		p.add(field, nearestOrAll(kind, kinds), "%s", message)
		return 0, false
	}
	if apiVersion == "" {
		return -1, true
	}
	for i, v := range known.versions {
		if known.group+"/"+v == apiVersion {
			return i, true
		}
	}
	p.add(field, "use "+known.newest()+", or leave it out", "%s has no apiVersion %s", kind, quote(apiVersion))
	return 0, false
}

// newestOnly leaves out patches for an older version than others in the list
// are for, per kind: such lists hold the same change once per version.
func newestOnly[T any](list []T, of func(T) (kind string, age int)) []T {
	newest := map[string]int{}
	for _, x := range list {
		kind, age := of(x)
		newest[kind] = max(newest[kind], age)
	}
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool {
		kind, age := of(x)
		return age >= 0 && age < newest[kind]
	})
}

// patchText is a text in the file that holds YAML documents.
type patchText struct{ field, text string }

// kubeadmPatches reads merge patches, each text one or more documents.
func kubeadmPatches(texts []patchText, p *problems) []string {
	var docs []kubePatch
	for _, t := range texts {
		roots, err := parseYAML([]byte(t.text))
		if err != nil {
			p.add(t.field, "", "in the patch: %v", err)
			continue
		}
		for _, root := range roots {
			if doc, ok := readKubePatch(root, t.field, p); ok && normalise(doc, t.field, p) {
				docs = append(docs, doc)
			}
		}
	}
	var out []string
	for _, doc := range newestOnly(docs, func(d kubePatch) (string, int) { return d.kind, d.age }) {
		out = append(out, encodeYAML(doc.node))
	}
	return out
}

// filePatches reads the patches of a kluster file.
func filePatches(spec v1alpha1.Patches, field string, p *problems) Patches {
	texts := numbered(spec.Kubeadm, field+".kubeadm")
	for _, typed := range []struct {
		text        v1alpha1.Document
		field, kind string
	}{
		{spec.Kubelet, "kubelet", "KubeletConfiguration"},
		{spec.KubeProxy, "kubeProxy", "KubeProxyConfiguration"},
	} {
		if typed.text != "" {
			at := field + "." + typed.field
			texts = append(texts, patchText{at, typedPatch(string(typed.text), typed.kind, at, p)})
		}
	}
	return Patches{
		Kubeadm:    kubeadmPatches(texts, p),
		Containerd: containerdPatches(numbered(spec.Containerd, field+".containerd"), p),
	}
}

func numbered[S ~string](list []S, field string) []patchText {
	var out []patchText
	for i, s := range list {
		out = append(out, patchText{item(field, i), string(s)})
	}
	return out
}

// typedPatch gives a document the kind that its field stands for, unless it
// names one; "" when it cannot be read, which is noted.
func typedPatch(written, kind, field string, p *problems) string {
	roots, err := parseYAML([]byte(written))
	switch {
	case err != nil:
		p.add(field, "", "in the patch: %v", err)
		return ""
	case len(roots) == 0:
		return ""
	case len(roots) > 1 || roots[0].Kind != yaml.MappingNode:
		p.add(field, "", "must be one mapping")
		return ""
	}
	if k := get(roots[0], "kind"); isNull(k) {
		set(roots[0], "kind", text(kind))
	} else if k.Value != kind {
		p.add(field, "", "must be a %s, not a %s", kind, quote(k.Value))
		return ""
	}
	return encodeYAML(roots[0])
}
