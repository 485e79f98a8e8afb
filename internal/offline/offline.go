// Package offline reads and writes bundles: one file with all that is needed to make
// clusters and to run specs on a machine that has nothing but a container engine.
//
// A bundle is a tar archive, and an OCI image layout: its members are, in this order,
//
//	kluster.json     Contents, for people and for a quick refusal
//	kluster          the programs, not compressed, so that "tar -xf BUNDLE kluster
//	kluster-node     kluster-node" makes another machine able to load the rest
//	oci-layout       as the OCI image specification has it
//	blobs/sha256/X   layers and files, compressed with zstd, each once; configurations,
//	                 manifests
//	index.json       the images by name ("org.opencontainers.image.ref.name"), and
//	                 outputs: artifacts whose layers are files
//	SHA256SUMS       the sha256 of every other member, as "sha256sum -c" reads it
//
// An output is a folder of kluster's cache. Its files' names, modes (octal) and sizes
// in bytes before compression are annotations of its layers.
package offline

import (
	"fmt"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/kluster-project/kluster/internal/failure"
)

// Format is that of the bundles which this package writes and reads.
const Format = 1

// Contents say what a bundle is, and what is in it.
type Contents struct {
	Format  int    `json:"format"`
	Kluster string `json:"kluster"` // the version of the kluster that wrote it
	Arch    string `json:"arch"`    // as Go names it
	// Go are the versions of the toolchain that are in the names of images and outputs.
	Go         []string `json:"go"`
	Kubernetes []string `json:"kubernetes"`
	Runtimes   []string `json:"runtimes"`
	E2E        bool     `json:"e2e"` // what runs of Kubernetes' specs need is in it
	Addons     []string `json:"addons"`
	Images     []string `json:"images"`
	Outputs    []string `json:"outputs"`
}

// Members that are no blobs.
const (
	contentsFile = "kluster.json"
	layoutFile   = "oci-layout"
	indexFile    = "index.json"
	sumsFile     = "SHA256SUMS"
)

// Programs are the members that are kluster's own programs.
var Programs = []string{"kluster", "kluster-node"}

const layoutText = `{"imageLayoutVersion":"1.0.0"}`

// Media types and annotations of our own.
const (
	outputType types.MediaType = "application/vnd.kluster.output.v1+json"
	fileType   types.MediaType = "application/vnd.kluster.output.file.v1+zstd"
	emptyType  types.MediaType = "application/vnd.oci.empty.v1+json"

	outputKey = "io.kluster.output"
	modeKey   = "io.kluster.mode"
	sizeKey   = "io.kluster.size"

	refKey   = "org.opencontainers.image.ref.name"
	titleKey = "org.opencontainers.image.title"
)

// outputForm is that of names of outputs, which become folders.
var outputForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*-[0-9a-f]{20}$`)

// maxText bounds a member that is read into memory, and maxMembers their number.
const (
	maxText    = 8 << 20
	maxMembers = 100_000
)

// ForeignError is a file that is no bundle.
type ForeignError struct{ Why string }

func (e *ForeignError) Error() string { return "it is no bundle of kluster: " + e.Why }

// ExitCode is that of bad input.
func (e *ForeignError) ExitCode() int { return failure.CodeUsage }

// DamagedError is a bundle that is not as it was written.
type DamagedError struct{ Why string }

func (e *DamagedError) Error() string { return "the bundle is damaged or cut off: " + e.Why }

// ExitCode is that of bad input.
func (e *DamagedError) ExitCode() int { return failure.CodeUsage }

// Hint says what to do.
func (e *DamagedError) Hint() string {
	return "copy it again; where it came from, tar -xf BUNDLE && sha256sum -c " + sumsFile + " says whether it is whole"
}

func damaged(format string, args ...any) error { return &DamagedError{fmt.Sprintf(format, args...)} }

// checkFormat refuses bundles of other formats.
func (c Contents) checkFormat() error {
	switch {
	case c.Format == Format:
		return nil
	case c.Format > Format:
		return failure.New(fmt.Sprintf("the bundle has format %d, and this kluster reads %d", c.Format, Format), failure.Exit(failure.CodeUsage),
			failure.Hint("use the kluster %s that is in it: tar -xf BUNDLE %s %s", c.Kluster, Programs[0], Programs[1]))
	}
	return &ForeignError{fmt.Sprintf("%s says format %d", contentsFile, c.Format)}
}

// blobName is the member that is a blob.
func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
