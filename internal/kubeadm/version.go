package kubeadm

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/mod/semver"
)

// release is how kubeadm's minor versions differ in what they leave in a node.
type release struct {
	// instanceConfig: the runtime's socket is in instance-config.yaml, and not
	// in a kubelet flag and an annotation of the node (gate NodeLocalCRISocket).
	instanceConfig bool
	// authentication is the version of AuthenticationConfiguration.
	authentication string
	// pause is the tag of the pause image in the kubelet's flags; "" where the
	// kubelet has no such flag any more.
	pause string
}

// releases by minor version. Newer ones than the last are taken to be like it.
var releases = map[string]release{
	"v1.33": {instanceConfig: false, authentication: "v1beta1", pause: "3.10"},
	"v1.34": {instanceConfig: true, authentication: "v1", pause: "3.10.1"},
	"v1.35": {instanceConfig: true, authentication: "v1"},
	"v1.36": {instanceConfig: true, authentication: "v1"},
}

func releaseOf(version string) (release, error) {
	minor := semver.MajorMinor(version)
	if minor == "" {
		return release{}, fmt.Errorf("no Kubernetes version: %q is not of the form v1.2.3", version)
	}
	if r, ok := releases[minor]; ok {
		return r, nil
	}
	known := slices.SortedFunc(maps.Keys(releases), semver.Compare)
	if semver.Compare(minor, known[0]) < 0 {
		return release{}, fmt.Errorf("no support for Kubernetes %s: it is older than %s", version, known[0])
	}
	return releases[known[len(known)-1]], nil
}

// Gates of kubeadm's own that a user may turn, where the version lets him.
const (
	gateInstanceConfig = "NodeLocalCRISocket"
	gateLocalKubelet   = "ControlPlaneKubeletLocalMode"
)

// gate gives a gate of kubeadm's as ClusterConfiguration sets it, or its default.
func gate(cluster object, name string, byDefault bool) bool {
	if on, ok := child(cluster, "featureGates")[name].(bool); ok {
		return on
	}
	return byDefault
}
