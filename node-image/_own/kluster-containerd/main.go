// Command kluster-containerd loads images from stdin into containerd, layer by layer as
// they come.
//
// What "ctr images import" reads passes through two processes, and is hashed and
// written twice: as a blob, and unpacked. Here a layer is unpacked while it is read,
// and becomes a snapshot. What names the images is then imported by "ctr", which finds
// all snapshots and needs no layer.
//
// The stream is an archive of images, as both OCI and Docker have them. Files whose
// owner is called "layer" in it are layers, plain or compressed with gzip; those that
// containerd has may be missing. All images are made, or none.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
)

const (
	socket      = "/run/containerd/containerd.sock"
	namespace   = "k8s.io"
	snapshotter = "overlayfs"
	// base is for what is being loaded, on the file system of the snapshots.
	base = "/var/lib/containerd/kluster-load"
	// leaseTime is how long containerd keeps the snapshots of a load that was killed.
	leaseTime = time.Hour
	// endTime bounds the end of the lease.
	endTime = 10 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kluster-containerd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	if len(os.Args) > 1 {
		return errors.New("usage: kluster-containerd < STREAM")
	}
	dir, free, err := ownFolder(base)
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, free()) }()
	c, err := read(ctx, os.Stdin, dir)
	if err != nil {
		return err
	}
	images, err := c.images()
	if err != nil {
		return err
	}
	// Loads of the same layers would make the same snapshots.
	unlock, err := lockParent(base)
	if err != nil {
		return fmt.Errorf("waiting for other loads: %w", err)
	}
	err = load(ctx, c, images)
	unlock()
	return err
}

// load makes the snapshots, under a lease that keeps them until images do, and names
// the images.
func load(ctx context.Context, c *content, images []image) (err error) {
	daemon, err := client.New(socket, client.WithDefaultNamespace(namespace))
	if err != nil {
		return fmt.Errorf("connecting to containerd: %w", err)
	}
	defer daemon.Close()
	ctx, done, err := daemon.WithLease(ctx, leases.WithRandomID(), leases.WithExpiration(leaseTime))
	if err != nil {
		return fmt.Errorf("asking containerd for a lease: %w", err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		err = errors.Join(err, done(end))
	}()
	for _, img := range images {
		if err := img.snapshots(ctx, daemon.SnapshotService(snapshotter), c.layers); err != nil {
			return err
		}
	}
	return c.name(ctx)
}
