package v1alpha1

// Registries are where the nodes' images come from.
type Registries struct {
	// The local registry, which every cluster that asks for it shares: images that
	// the host pushes to localhost:5001 can be used by that name. Default: none.
	Local *LocalRegistry `json:"local,omitempty"`
	// Pull-through caches, shared by every cluster that asks for one of the same
	// registry, and kept when clusters are deleted. Default: none.
	Caches []Cache `json:"caches,omitempty"`
	// Mirrors of registries: to the name of a registry in images, such as docker.io,
	// the URLs that nodes ask for them before the registry itself, in order. A path
	// comes before the names of images. Default: none.
	Mirrors map[string][]string `json:"mirrors,omitempty" jsonschema:"example=docker.io"`
	// Registries whose credentials, those of this machine's user, all pods may be
	// pulled with, such as ghcr.io. Default: none.
	Credentials []string `json:"credentials,omitempty"`
}

// LocalRegistry is the registry of this machine.
type LocalRegistry struct {
	// Port on the loopback address of the host and of nodes. Default: 5001.
	HostPort int `json:"hostPort,omitempty" jsonschema:"minimum=1,maximum=65535"`
}

// Cache keeps what is pulled from another registry.
type Cache struct {
	// The registry as images are named by it, such as docker.io or
	// registry.example:5000.
	Registry string `json:"registry"`
	// Where it answers. Default: https:// and its name, but Docker Hub's own for
	// docker.io.
	URL string `json:"url,omitempty" jsonschema:"example=https://registry.example:5000"`
}

// Proxy is the HTTP proxy between the nodes and the world.
type Proxy struct {
	// For http URLs, such as http://proxy.example:3128. Default: none.
	HTTP string `json:"http,omitempty" jsonschema:"example=http://proxy.example:3128"`
	// For https URLs. Default: none.
	HTTPS string `json:"https,omitempty" jsonschema:"example=http://proxy.example:3128"`
	// Hosts, domains (.example.com), addresses and subnets that are reached without
	// it. All that is inside the cluster is added. Default: none.
	No []string `json:"no,omitempty"`
}
