package kubeadm

import (
	"bytes"
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"
)

// object is a document as JSON has it: users' patches may put anything into it,
// of versions that kluster does not know, so that types would lose some.
type object = map[string]any

// kind of a document.
type kind string

// The kinds that are rendered or patched.
const (
	initKind    kind = "InitConfiguration"
	joinKind    kind = "JoinConfiguration"
	clusterKind kind = "ClusterConfiguration"
	kubeletKind kind = "KubeletConfiguration"
	proxyKind   kind = "KubeProxyConfiguration"
)

// apiVersions of the kinds. Every supported kubeadm reads v1beta4.
var apiVersions = map[kind]string{
	initKind:    "kubeadm.k8s.io/v1beta4",
	joinKind:    "kubeadm.k8s.io/v1beta4",
	clusterKind: "kubeadm.k8s.io/v1beta4",
	kubeletKind: "kubelet.config.k8s.io/v1beta1",
	proxyKind:   "kubeproxy.config.k8s.io/v1alpha1",
}

// headed is a copy of o with the kind's apiVersion and kind.
func headed(k kind, o object) object {
	o = clone(o)
	o["apiVersion"], o["kind"] = apiVersions[k], string(k)
	return o
}

// child gives the object at key of o, nil if there is none.
func child(o object, key string) object {
	c, _ := o[key].(object)
	return c
}

// ensure gives the object at key of o, made if there is none.
func ensure(o object, key string) object {
	c := child(o, key)
	if c == nil {
		c = object{}
		o[key] = c
	}
	return c
}

// str gives the text at key of o, "" if there is none.
func str(o object, key string) string {
	s, _ := o[key].(string)
	return s
}

// clone is a deep copy of o in the form that decoded JSON has.
func clone(o object) object {
	b, err := json.Marshal(o)
	if err != nil { // it was decoded, or is a literal of ours
		panic(fmt.Sprintf("kubeadm: encoding a document: %v", err))
	}
	var c object
	if err := json.Unmarshal(b, &c); err != nil {
		panic(fmt.Sprintf("kubeadm: decoding a document: %v", err))
	}
	return c
}

// encode writes documents as one YAML stream.
func encode(docs ...object) ([]byte, error) {
	var buf bytes.Buffer
	for i, d := range docs {
		b, err := yaml.Marshal(d)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			buf.WriteString("---\n")
		}
		buf.Write(b)
	}
	return buf.Bytes(), nil
}
