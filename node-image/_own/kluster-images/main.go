// Command kluster-images imports images into the store of CRI-O, which is a
// library's (containers-storage) and has no daemon that could be asked. Where the
// store is, says the file storage.conf.
//
//	kluster-images FOLDER|-
//	kluster-images - EMPTY
//
// FOLDER is an OCI layout; "-" is a tar stream on stdin, of such a folder or of
// what "docker save" writes. With a folder that is empty, or not there, layers go
// from the stream into the store, and only the rest into that folder; the stream then
// begins with a plan of the layers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/signature"
	is "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/reexec"
)

func main() {
	if reexec.Init() { // the store unpacks layers in a process of its own
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kluster-images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 && (len(args) != 2 || args[0] != "-") {
		return errors.New("usage: kluster-images FOLDER|- | - EMPTY")
	}
	options, err := storage.DefaultStoreOptions()
	if err != nil {
		return fmt.Errorf("reading where the store is: %w", err)
	}
	store, err := storage.GetStore(options)
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	switch {
	case len(args) == 2:
		err = importLayered(ctx, store, os.Stdin, args[1])
	case args[0] == "-":
		err = importStream(ctx, store, os.Stdin)
	default:
		err = importFolder(ctx, store, args[0])
	}
	_, end := store.Shutdown(false)
	if errors.Is(end, storage.ErrLayerUsedByContainer) {
		end = nil // CRI-O uses the store too
	}
	return errors.Join(err, end)
}

// importStream imports what a tar stream holds. It is laid on disk first: what is
// in it is known only at its end.
func importStream(ctx context.Context, store storage.Store, r io.Reader) error {
	dir, err := os.MkdirTemp(store.GraphRoot(), "import-")
	if err != nil {
		return fmt.Errorf("making a folder for the archive: %w", err)
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "archive.tar")
	if err := save(archive, r); err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	isDocker, err := hasMember(archive, "manifest.json")
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	if isDocker {
		return importDocker(ctx, store, archive)
	}
	folder := filepath.Join(dir, "layout")
	if err := unpack(archive, folder); err != nil {
		return fmt.Errorf("unpacking the archive: %w", err)
	}
	return importFolder(ctx, store, folder)
}

// named is an image to import and the name it gets.
type named struct {
	name string
	from types.ImageReference
}

func importAll(ctx context.Context, store storage.Store, images []named) error {
	if len(images) == 0 {
		return errors.New("the archive names no image")
	}
	policy, err := signature.NewPolicyContext(&signature.Policy{
		Default: signature.PolicyRequirements{signature.NewPRInsecureAcceptAnything()},
	})
	if err != nil {
		return err
	}
	for _, img := range images {
		to, err := is.Transport.ParseStoreReference(store, img.name)
		if err != nil {
			return fmt.Errorf("image %q: %w", img.name, err)
		}
		if _, err := copy.Image(ctx, policy, to, img.from, &copy.Options{}); err != nil {
			return fmt.Errorf("importing %s: %w", img.name, err)
		}
		fmt.Println(img.name)
	}
	return errors.Join(policy.Destroy(), ctx.Err())
}
