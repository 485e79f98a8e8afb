package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// image is one that is to be made, as the layers that it has from the lowest up.
type image struct {
	config string
	chain  []link
}

// link is a layer as a snapshot on those below it.
type link struct {
	file   string // its name in the stream
	diffID string
	id     string // its chain ID
}

// images reads the stream's manifest.json, which comes last.
func (c *content) images() ([]image, error) {
	var entries []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(c.text("manifest.json"), &entries); err != nil {
		return nil, fmt.Errorf("the stream ends early: %w", err)
	}
	var all []image
	for _, e := range entries {
		var config struct {
			RootFS struct {
				DiffIDs []digest.Digest `json:"diff_ids"`
			}
		}
		if err := json.Unmarshal(c.text(e.Config), &config); err != nil {
			return nil, fmt.Errorf("image %s: its configuration: %w", e.Config, err)
		}
		if len(config.RootFS.DiffIDs) != len(e.Layers) {
			return nil, fmt.Errorf("image %s: it has %d layers, but its configuration names %d", e.Config, len(e.Layers), len(config.RootFS.DiffIDs))
		}
		img, below := image{config: e.Config}, ""
		for i, diffID := range config.RootFS.DiffIDs {
			below = chainID(below, diffID.String())
			l := link{file: path.Clean(e.Layers[i]), diffID: diffID.String(), id: below}
			if got := c.layers[l.file]; got != nil && got.diffID != l.diffID {
				return nil, fmt.Errorf("image %s: what came as layer %s is %s", e.Config, diffID, got.diffID)
			}
			img.chain = append(img.chain, l)
		}
		all = append(all, img)
	}
	if len(all) == 0 {
		return nil, errors.New("the stream names no image")
	}
	return all, nil
}

// chainID names a layer together with those below it.
func chainID(below, diffID string) string {
	if below == "" {
		return diffID
	}
	return digest.FromString(below + " " + diffID).String()
}

// snapshots makes those of an image's layers that are not there.
func (img image) snapshots(ctx context.Context, s snapshots.Snapshotter, layers map[string]*layer) error {
	parent := ""
	for _, l := range img.chain {
		if err := l.snapshot(ctx, s, parent, layers[l.file]); err != nil {
			return fmt.Errorf("image %s: layer %s: %w", img.config, l.diffID, err)
		}
		parent = l.id
	}
	return nil
}

func (l link) snapshot(ctx context.Context, s snapshots.Snapshotter, parent string, unpacked *layer) error {
	_, err := s.Stat(ctx, l.id)
	switch {
	case err == nil:
		return nil
	case !errdefs.IsNotFound(err):
		return err
	case unpacked == nil:
		return errors.New("it is neither there nor in the stream")
	case unpacked.dir == "":
		return errors.New("it is there twice, on different layers")
	}
	key := "kluster-load " + l.id
	if err := s.Remove(ctx, key); err != nil && !errdefs.IsNotFound(err) { // of one that was killed
		return err
	}
	mounts, err := s.Prepare(ctx, key, parent)
	if err != nil {
		return fmt.Errorf("preparing a snapshot: %w", err)
	}
	if err = unpacked.place(mounts); err == nil {
		err = s.Commit(ctx, l.id, key)
	}
	if err != nil {
		err = errors.Join(err, s.Remove(context.WithoutCancel(ctx), key))
	}
	return err
}

// place makes the folder of an unpacked layer that of a snapshot.
func (l *layer) place(mounts []mount.Mount) error {
	upper, lower, err := folders(mounts)
	if err != nil {
		return err
	}
	for _, name := range l.implied {
		if err := l.complete(name, lower); err != nil {
			return fmt.Errorf("folder %s: %w", name, err)
		}
	}
	if err := os.Remove(upper); err != nil {
		return err
	}
	err = os.Rename(l.dir, upper)
	l.dir = ""
	return err
}

// folders are the one that a snapshot writes to and those below it, the nearest first.
func folders(mounts []mount.Mount) (upper string, lower []string, err error) {
	if len(mounts) == 1 && mounts[0].Type == "bind" {
		return mounts[0].Source, nil, nil
	}
	if len(mounts) == 1 && mounts[0].Type == "overlay" {
		for _, o := range mounts[0].Options {
			if dir, ok := strings.CutPrefix(o, "upperdir="); ok {
				upper = dir
			}
			if dirs, ok := strings.CutPrefix(o, "lowerdir="); ok {
				lower = strings.Split(dirs, ":")
			}
		}
	}
	if upper == "" {
		return "", nil, fmt.Errorf("the snapshot is not of one folder: %+v", mounts)
	}
	return upper, lower, nil
}

// complete makes a folder that the layer does not name what it is in the layers below.
func (l *layer) complete(name string, lower []string) error {
	own, err := os.OpenRoot(l.dir) // a link in the layer may lead to the node's own folders
	if err != nil {
		return err
	}
	defer own.Close()
	if info, err := own.Lstat(name); err != nil || !info.IsDir() {
		return errors.Join(errors.New("it is no folder in the layer"), err)
	}
	for _, dir := range lower {
		info, err := statIn(dir, name)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return err
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !info.IsDir() || !ok {
			return errors.New("it is no folder in the layers below")
		}
		return errors.Join(own.Lchown(name, int(owner.Uid), int(owner.Gid)), own.Chmod(name, info.Mode()), own.Chtimes(name, info.ModTime(), info.ModTime()))
	}
	return nil
}

// statIn tells of a file in a folder, by a name that does not lead out of it.
func statIn(dir, name string) (os.FileInfo, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Lstat(name)
}
