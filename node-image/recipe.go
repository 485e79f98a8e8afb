package nodeimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Spec is the node image that is wanted.
type Spec struct {
	Kubernetes string   // "v1.36.3"; "" for the default
	Runtimes   []string // "containerd"
	// Conformance: the container images of Kubernetes' conformance tests are
	// preloaded too.
	Conformance bool
	// Source of the programs: SourceModules (also for "") or SourceRelease.
	Source string
	// Overrides are locally built programs: component name to file.
	Overrides map[string]string
	// Checkout is a folder with Kubernetes' own source to build its programs
	// from instead of the published modules; "" for none.
	Checkout   string
	Arch       string // as Go names it; "" for this machine's
	NodeBinary string // the kluster-node program to put in; "" leaves it out
}

// Sources of programs.
const (
	SourceModules = "modules"
	SourceRelease = "release"
)

// format changes when the same inputs give another image.
const format = 3

// Recipe is a node image with every input pinned. The exported fields are what
// its digest is made of.
type Recipe struct {
	Format     int
	Kubernetes string
	Arch       string
	Runtimes   []string
	Go         string // toolchain, "go1.26.8"; "" when nothing is compiled
	Graphs     []GraphInput
	Programs   []Program
	Roots      []Root
	Images     []ContainerImage
	RootFS     string // digest of the embedded files
	Node       string // digest of kluster-node, "" without

	env        Env
	nodeBinary string
	digest     string
	steps      map[string]time.Duration // that the fields do not tell of, with estimates
}

// GraphInput is what one run of "go build" depends on.
type GraphInput struct {
	Name, Version string
	Modules       []string
	Mod, Sum      string // digests of go.mod and go.sum
	CGO           bool
	Tags          []string
	LDFlags       string
	Packages      []string
	Own           map[string]string `json:",omitempty"` // digests of programs of our own
	// Checkout is the digest of a source tree built instead of the modules.
	Checkout string

	mod, sum []byte
	own      map[string][]byte // their files, by path
	tree     *checkout
}

// Kind says where a program comes from.
type Kind string

// The kinds.
const (
	KindModule  Kind = "module"
	KindC       Kind = "c"
	KindRelease Kind = "release"
	KindFile    Kind = "file"
	KindDebian  Kind = "debian"
	// KindText is a file of a module as it is, no program.
	KindText Kind = "text"
)

// Program is a component with its source resolved.
type Program struct {
	Name, Version string
	Kind          Kind
	Source        string   // as the manifest says it
	Graph         string   // KindModule, KindC, KindText
	Output        string   // KindModule: the file's name in go build's output
	File          string   // KindC, KindText: the file in the module; KindDebian: the file in Root
	Root          string   `json:",omitempty"` // KindDebian
	URL, Member   string   // KindRelease
	Digest        string   // KindFile, and KindRelease where it is pinned
	Sums          *SumFile `json:",omitempty"` // KindRelease where Digest is not
	Target, Layer string
	Shared        bool `json:",omitempty"` // see Component

	path string // KindFile
	pkg  string // KindModule: what it is compiled from

	runtimes []string // see Component
}

// Digest is the recipe's own, "sha256:...": equal recipes, equal images.
func (r *Recipe) Digest() string { return r.digest }

// Ref is the image's name, "kluster/node:v1.36.3-0123456789ab".
func (r *Recipe) Ref() string {
	hex := r.digest[len("sha256:"):]
	return fmt.Sprintf("%s:%s-%s", nodespec.ImageRepository, r.Kubernetes, hex[:12])
}

func (r *Recipe) seal() error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the recipe: %w", err)
	}
	r.digest = digestOf(data)
	return nil
}

func (r *Recipe) program(name string) *Program {
	return named(r.Programs, name, func(p Program) string { return p.Name })
}

// layersOf are those of runtimeLayers that hold a program of a runtime.
func (r *Recipe) layersOf(runtime string) []string {
	return slices.DeleteFunc(slices.Clone(runtimeLayers), func(layer string) bool {
		return !slices.ContainsFunc(r.Programs, func(p Program) bool {
			return p.Layer == layer && (len(p.runtimes) == 0 || slices.Contains(p.runtimes, runtime))
		})
	})
}

func (r *Recipe) graph(name string) *GraphInput {
	return named(r.Graphs, name, func(g GraphInput) string { return g.Name })
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Resolve pins every input of the image that spec asks for, without network.
// It returns *UnknownVersionError, *SpecError or *ToolchainError.
func Resolve(ctx context.Context, spec Spec, env Env) (*Recipe, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	return resolve(ctx, c, spec, env)
}
