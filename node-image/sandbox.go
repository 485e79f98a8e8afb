package nodeimage

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Sandbox runs programs in a throw-away machine.
type Sandbox interface {
	// Run makes a machine with run.Image as its root file system, runs
	// run.Args in it as root, hands out the outputs, and removes the machine,
	// also on errors. A program that ends with another code than 0 is an error
	// that holds the end of what it wrote.
	Run(ctx context.Context, run SandboxRun) error
}

// SandboxRun is a program to run in a Sandbox.
type SandboxRun struct {
	Name  string // for people, "build-runc"
	Image v1.Image
	Args  []string // the whole command; the image's own entry point is not used
	Env   []string // "K=V"
	// Inputs is a tar stream unpacked at / before the start; may be nil.
	Inputs io.Reader
	// Mounts are host folders to see read-only, host path -> path.
	Mounts map[string]string
	// Volumes are paths that need a real file system (overlay's upper layers
	// cannot lie on another overlay); what they hold can be an output.
	Volumes []string
	// System: the program mounts file systems and starts containers.
	System bool
	// Outputs receive, after success, a tar stream of a file or folder; names
	// in it begin with the last element of the path ("/out" -> "out/x").
	Outputs map[string]io.Writer
	Log     io.Writer // what the program writes; may be nil
}
