package config

import (
	"strings"
	"testing"
)

func TestVersions(t *testing.T) {
	const kind = "apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\n"
	for _, test := range []struct {
		name, file string
		flags      Flags
		version    string
		image      string // of the cluster
		err        string
	}{
		{name: "default", file: kluster(""), version: "v1.36.3"},
		{name: "without v", file: kluster("kubernetesVersion: 1.35.4"), version: "v1.35.4"},
		{name: "minor", file: kluster("kubernetesVersion: v1.34"), version: "v1.34.4"},
		{name: "own image", file: kluster("image: me/node:1"), image: "me/node:1"},
		{name: "own image and version", file: kluster("image: me/node:1\nkubernetesVersion: v1.37.0"), version: "v1.37.0", image: "me/node:1"},
		{name: "image with its version", file: kluster("image: kluster/node:v1.30.1-0123456789ab"), version: "v1.30.1", image: "kluster/node:v1.30.1-0123456789ab"},
		{name: "every node an image", file: kluster("nodes:\n- image: me/node:1"), version: ""},
		{name: "kind's image", file: kind + "nodes: [{image: 'kindest/node:v1.34.4@sha256:ab'}]", version: "v1.34.4"},
		{name: "kind's image on a mirror", file: kind + "nodes: [{image: 'mirror:5000/x/kindest/node:v1.34.4'}]", version: "v1.34.4"},
		{name: "kind's image, flag", file: kind + "nodes: [{image: 'kindest/node:v1.20.0'}]", flags: Flags{KubernetesVersion: "v1.33"}, version: "v1.33.13"},
		{name: "kind's image as flag", file: kind, flags: Flags{Image: "kindest/node:v1.35.4"}, version: "v1.35.4"},
		{name: "kind's image unknown", file: kind + "nodes: [{image: 'kindest/node:v1.20.0'}]", err: "nodes[0].image: kind's image stands for Kubernetes v1.20.0 here, which is not known"},
		{name: "kind's image by digest", file: kind + "nodes: [{image: 'kindest/node@sha256:ab'}]", err: "this one names no Kubernetes version"},
		{
			name: "two versions", file: kind + "nodes: [{image: 'kindest/node:v1.35.4'}, {role: worker, image: 'kindest/node:v1.34.4'}]",
			err: "nodes[1].image: asks for Kubernetes v1.34.4, but nodes[0].image for v1.35.4",
		},
		{name: "two fields", file: kluster("image: kluster/node:v1.35.4\nkubernetesVersion: v1.36.3"), err: "image: asks for Kubernetes v1.35.4"},
		{name: "no version", file: kluster("kubernetesVersion: one"), err: `"one" is not a Kubernetes version`},
		{name: "minor of nothing", file: kluster("kubernetesVersion: v1.1"), err: "Kubernetes v1.1 is not known (known: v1.36.3, v1.35.4, v1.34.4, v1.33.13)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Parse("f", []byte(test.file), test.flags, testOptions())
			switch {
			case test.err != "":
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v, want %s", err, test.err)
				}
			case err != nil:
				t.Error(err)
			case c.KubernetesVersion != test.version || c.Image != test.image:
				t.Errorf("got %q and %q, want %q and %q", c.KubernetesVersion, c.Image, test.version, test.image)
			}
		})
	}
}
