package config

import "github.com/kluster-project/kluster/configs/v1alpha1"

// wish is what was asked for, from whatever source, before defaults.
type wish struct {
	v1alpha1.Cluster
	// from names where single values came from, for problems.
	from sources
	// kind is true for a kind file, whose rules are kind's where they differ.
	kind bool
	// shorthand is true for --nodes: control planes take pods.
	shorthand bool
	// flagPorts is how many of Networking.LoadBalancerPorts, the last ones, are flags'.
	flagPorts int
	// patches of all nodes, and of each entry of Nodes.
	patches     Patches
	nodePatches []Patches
	// addonFlags are add-ons of the command line.
	addonFlags []string
}

// sources are fields of the file, or flags.
type sources struct {
	name, version, image, runtime, ociRuntime, nodes string
	caches                                           []string          // one for each
	mirrors                                          map[string]string // by the registry that they are of
}

func fileSources() sources {
	return sources{name: "name", version: "kubernetesVersion", image: "image", runtime: "runtime", ociRuntime: "ociRuntime", nodes: "nodes"}
}

// flagSources are for a wish without a file; a value nobody gave is defaulted
// and cannot be wrong.
func flagSources() sources {
	return sources{name: "--name", version: "--kubernetes-version", image: "--image", runtime: "--runtime", ociRuntime: "--oci-runtime", nodes: "--nodes"}
}

// resolve makes a Cluster of a wish, or an *Invalid of everything that p and
// it have found.
func resolve(w wish, o Options, p *problems) (*Cluster, error) {
	c := &Cluster{
		Ephemeral:    w.Ephemeral != nil && *w.Ephemeral,
		Hardened:     w.Hardened != nil && *w.Hardened,
		FeatureGates: w.FeatureGates, RuntimeConfig: w.RuntimeConfig, Patches: w.patches,
	}
	resolveVersion(&w, c, o, p)
	resolveRuntime(&w, c, o, p)
	resolveName(&w, c)
	resolveNodes(&w, c, o, p)
	resolveNetworking(&w, c, o, p)
	resolveAddons(&w, c, o, p)
	resolveRegistries(&w, c, p)
	c.CertificateAuthorities, c.Proxy = authorities(&w, o, p), proxy(w.Proxy, p)
	checkName(&w, c, p)
	checkGates(&w, p)
	checkHostPorts(&w, c, p)
	if err := p.err(); err != nil {
		return nil, err
	}
	return c, nil
}
