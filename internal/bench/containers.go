package bench

import (
	"archive/tar"
	"context"
	"io"
	"time"
)

// Container is one of a cluster's.
type Container struct {
	ID, Name string
	Labels   map[string]string
	// Address is on the cluster's network; "" while it does not run.
	Address string
}

// Use is what a container has used, and uses.
type Use struct {
	CPU time.Duration
	// WorkingSet is memory without the page cache that nobody asked for lately.
	WorkingSet int64
}

// Image is a node image.
type Image struct {
	// Size is in bytes, uncompressed.
	Size   int64
	Labels map[string]string
}

// Engine is what the bench asks of the engine that the tools use.
type Engine interface {
	// Machine describes engine and host.
	Machine(ctx context.Context) (Machine, error)
	// Image describes an image by name.
	Image(ctx context.Context, ref string) (Image, error)
	// LoadImage reads an archive of images from a file, and RemoveImage removes one by
	// name, if it is there.
	LoadImage(ctx context.Context, file string) error
	RemoveImage(ctx context.Context, ref string) error
	// Meter makes a Meter, which listens on this machine alone.
	Meter(ctx context.Context) (Meter, error)
	// Containers lists those that run and have a label of this value.
	Containers(ctx context.Context, label, value string) ([]Container, error)
	// ReadFile reads a small file in a running container, without running
	// anything there; os.ErrNotExist if it is not there.
	ReadFile(ctx context.Context, c Container, path string) ([]byte, error)
	// Use reads a container's counters.
	Use(ctx context.Context, c Container) (Use, error)
	// Disk is the blocks of a container's volumes and own layer, in bytes.
	Disk(ctx context.Context, c Container) (int64, error)
	// Purge removes containers, volumes and networks with a label of this value.
	Purge(ctx context.Context, label, value string) error
	// Extract runs a shell script in a container of the image, without network,
	// and then gives each file of one of its folders.
	Extract(ctx context.Context, image, script, folder string, visit func(*tar.Header, io.Reader) error) error
	// Scratch makes a volume; dir is its folder on the host, "" if this process
	// cannot write there.
	Scratch(ctx context.Context) (dir string, remove func(context.Context) error, err error)
}
