package nodeimage

import "time"

// Catalog is configs/components.yaml: all that can be put into a node image.
type Catalog struct {
	Kubernetes []KubernetesVersion `yaml:"kubernetes"`
	Graphs     []Graph             `yaml:"graphs"`
	Components []Component         `yaml:"components"`
	Suite      SuiteTable          `yaml:"suite"`
	CRI        CRITable            `yaml:"cri"`
	Releases   []Release           `yaml:"releases"`
	Roots      []Root              `yaml:"roots"`
	Images     []ContainerImage    `yaml:"images"`
}

// KubernetesVersion is a version an image can be built for, with the versions
// of what belongs to it (etcd, CoreDNS, pause ...) by name.
type KubernetesVersion struct {
	Version  string            `yaml:"version"`
	Versions map[string]string `yaml:"versions"`
	// Without names graphs that cannot be built for it.
	Without []string `yaml:"without"`
	// Conformance: the images that its conformance tests ask for are in the
	// table.
	Conformance bool `yaml:"conformance"`
}

// Graph is a module graph: what one run of "go build" builds.
type Graph struct {
	Name    string   `yaml:"name"`
	Version string   `yaml:"version"` // "" when Kubernetes' table gives it
	Modules []string `yaml:"modules"` // all of one version
	// Incompatible modules are older than go.mod ("+incompatible"): they name
	// what they need in vendor.mod.
	Incompatible bool `yaml:"incompatible"`
	// Replace gives modules another version than what asks for them does.
	Replace map[string]string `yaml:"replace"`
	// Own are programs of kluster's own, folders of node-image/_own, that are
	// built with the graph's modules.
	Own []string `yaml:"own"`
	// Staging: of Kubernetes' own version, and the k8s.io modules at v0.0.0 are
	// replaced by v0.MINOR.PATCH.
	Staging bool `yaml:"staging"`
	// CGO: built in a container made from the node's own base.
	CGO    bool              `yaml:"cgo"`
	Static bool              `yaml:"static"` // cgo, but without shared libraries
	Tags   []string          `yaml:"tags"`
	Stamp  map[string]string `yaml:"stamp"` // variable -> value, for the linker
	// StampCheckout is stamped in addition when built from a git work tree.
	StampCheckout map[string]string `yaml:"stampCheckout"`
	Estimate      time.Duration     `yaml:"estimate"`
}

// CRITable is the validation of container runtimes.
type CRITable struct {
	Graph    string        `yaml:"graph"`
	Test     string        `yaml:"test"`     // the package whose tests it is
	Estimate time.Duration `yaml:"estimate"` // of compiling Test
	// Registries are the hosts that Images are asked of.
	Registries []string `yaml:"registries"`
	// Images are those that its specs pull: see ContainerImage, with StandIn, and
	// without Conformance and Pulled.
	Images []ContainerImage `yaml:"images"`
}

// SuiteTable is what an e2e run needs on the host, all of one graph.
type SuiteTable struct {
	Graph string `yaml:"graph"`
	Test  string `yaml:"test"` // the package whose tests are the suite
	// Specs is the file of the graph's first module that lists the conformance
	// specs.
	Specs    string        `yaml:"specs"`
	Programs []Component   `yaml:"programs"`
	Estimate time.Duration `yaml:"estimate"` // of compiling Test
}

// Component is a program.
type Component struct {
	Name    string `yaml:"name"`
	Graph   string `yaml:"graph"`
	Package string `yaml:"package"` // of a Go program
	Own     string `yaml:"own"`     // of a program of kluster's own: one of the graph's Own
	// C is a C program's file in the graph's first module, or with a slash at
	// its end the folder of its files.
	C string `yaml:"c"`
	// File is a file of the graph's first module, which is no program.
	File string `yaml:"file"`
	// Extract is the path, without a leading slash, of a file in Root, a Root of
	// Debian packages.
	Extract string `yaml:"extract"`
	Root    string `yaml:"root"`
	// Runtimes are the container runtimes that need it; none for all nodes.
	Runtimes []string `yaml:"runtimes"`
	Release  string   `yaml:"release"` // where upstream publishes it, by Release.Name
	// Version names an entry of Kubernetes' table, where it is not the graph's.
	Version string `yaml:"version"`
	Target  string `yaml:"target"` // path in the node, "" if only in container images
	Layer   string `yaml:"layer"`  // of the node image that holds Target
	// Shared: the program lies in a folder of its layer's own, which nodes can
	// have in common, and Target is a link to it. Not for what others overwrite.
	Shared bool `yaml:"shared"`
}

// Release is where upstream publishes programs.
type Release struct {
	Name string `yaml:"name"`
	// URL of the file; {name} is the component's name.
	URL string `yaml:"url"`
	// SHA256 pins the file per "VERSION/ARCH" or "VERSION/ARCH/NAME".
	SHA256 map[string]string `yaml:"sha256"`
	// Checksums is the URL of a signed file of upstream's that holds the sha256
	// in a line with the file's name; used where SHA256 has no entry.
	Checksums string `yaml:"checksums"`
	// Signature of Checksums: "clearsigned", or the URL of a detached OpenPGP
	// signature.
	Signature string `yaml:"signature"`
	// Keys is the file below configs/keys with the signers' public keys, and
	// Fingerprints which primary keys of these count.
	Keys         string   `yaml:"keys"`
	Fingerprints []string `yaml:"fingerprints"`
	// Member is the program's path in the archive that URL names (.tar.gz).
	Member string `yaml:"member"`
}

// Root is a root file system made of Debian packages.
type Root struct {
	Name     string        `yaml:"name"`
	Suite    string        `yaml:"suite"`
	Variant  string        `yaml:"variant"` // of mmdebstrap
	From     string        `yaml:"from"`    // another root whose packages it has too
	Packages []string      `yaml:"packages"`
	Estimate time.Duration `yaml:"estimate"`
}

// ContainerImage is a container image, preloaded into the node image unless it says
// otherwise.
//
// What is not in the recipe of an ordinary node image must not change its digest:
// fields that were added later are left out of the JSON form when empty.
type ContainerImage struct {
	Ref string `yaml:"ref"`
	// OnDemand images are in no node image: add-ons bring them to the clusters that
	// have them. They are the same for every version of Kubernetes.
	OnDemand bool `yaml:"onDemand" json:"-"`
	// Conformance says whether Kubernetes' conformance tests use it: "" for no,
	// UsedAlso or UsedOnly.
	Conformance string `yaml:"conformance" json:"-"`
	// StandIn says how an image that tests use differs from upstream's.
	StandIn string `yaml:"standIn" json:"-"`
	// Pulled: a conformance test pulls it, whether the node has it or not.
	Pulled bool `yaml:"pulled" json:"-"`
	// From is another image, named before, whose layers and configuration it
	// starts from.
	From string `yaml:"from" json:",omitempty"`
	// Root is the Root it lies on or, with Extract, takes files from; "" for
	// an almost empty one.
	Root       string            `yaml:"root"`
	Extract    []ImageCopy       `yaml:"extract"`
	Dirs       []string          `yaml:"dirs"`
	Files      []ImageFile       `yaml:"files"`
	Append     []ImageAppend     `yaml:"append"`
	Links      []ImageLinks      `yaml:"links"`
	User       string            `yaml:"user"`
	Entrypoint []string          `yaml:"entrypoint"`
	Cmd        []string          `yaml:"cmd"`
	Labels     map[string]string `yaml:"labels" json:",omitempty"`
	Pinned     bool              `yaml:"pinned"` // never collected as garbage
}

// Values of ContainerImage.Conformance.
const (
	// UsedAlso: every node image has it.
	UsedAlso = "also"
	// UsedOnly: only node images for conformance tests have it.
	UsedOnly = "only"
)

// ImageFile is a file of a container image: a component, a file of the first
// module of a graph, or a text.
type ImageFile struct {
	Component string `yaml:"component"`
	Graph     string `yaml:"graph"`
	File      string `yaml:"file"`
	Text      string `yaml:"text" json:",omitempty"`
	Path      string `yaml:"path"`
	// Mode, where it is not that of its kind: 0755 for a component, else 0644.
	Mode int64 `yaml:"mode" json:",omitempty"`
}

// ImageCopy takes a file of a root.
type ImageCopy struct {
	// Root is another one than the image's own, which then is the image's root.
	Root string `yaml:"root" json:",omitempty"`
	From string `yaml:"from"` // without a leading slash
	Path string `yaml:"path"`
}

// ImageAppend adds lines to a file of the root.
type ImageAppend struct {
	Path string `yaml:"path"` // without a leading slash
	Text string `yaml:"text"`
}

// ImageLinks are symbolic links to one target.
type ImageLinks struct {
	Target string `yaml:"target"`
	// Hard links are other names of the same file, which the image's own layer
	// has: Target is then its path without a leading slash.
	Hard  bool     `yaml:"hard" json:",omitempty"`
	Paths []string `yaml:"paths"`
}
