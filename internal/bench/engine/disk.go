package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/mount"

	"github.com/kluster-project/kluster/internal/bench"
)

// Disk implements bench.Engine. Volumes whose folder cannot be read are asked of
// the engine, which takes a file's length for its blocks.
func (e *Engine) Disk(ctx context.Context, c bench.Container) (int64, error) {
	i, _, err := e.api.ContainerInspectWithRaw(ctx, c.ID, true)
	if err != nil {
		return 0, fmt.Errorf("inspecting %s: %w", c.Name, err)
	}
	var total int64
	if i.SizeRw != nil {
		total = *i.SizeRw
	}
	for _, m := range i.Mounts {
		if m.Type != mount.TypeVolume {
			continue
		}
		size, err := blocks(m.Source)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			size, err = e.volumeSize(ctx, m.Name)
		}
		if err != nil {
			return 0, fmt.Errorf("measuring volume %s: %w", m.Name, err)
		}
		total += size
	}
	return total, nil
}

// volumeSize is what the engine says of a volume.
func (e *Engine) volumeSize(ctx context.Context, name string) (int64, error) {
	use, err := e.api.DiskUsage(ctx, types.DiskUsageOptions{Types: []types.DiskUsageObject{types.VolumeObject}})
	if err != nil {
		return 0, err
	}
	for _, v := range use.Volumes {
		if v.Name == name && v.UsageData != nil && v.UsageData.Size >= 0 {
			return v.UsageData.Size, nil
		}
	}
	return 0, errors.New("the engine does not say its size")
}

// blockSize is that of Stat_t.Blocks, whatever the file system's own is.
const blockSize = 512

// blocks is what a folder takes on the disk, in bytes: no holes, and a file with
// several names once. Files that go meanwhile are not there.
func blocks(dir string) (int64, error) {
	type inode struct{ dev, ino uint64 }
	var total int64
	counted := map[inode]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return goneIsFine(path, dir, err)
		}
		info, err := d.Info()
		if err != nil {
			return goneIsFine(path, dir, err)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("the blocks of %s are not known here", path)
		}
		id := inode{uint64(st.Dev), st.Ino} //nolint:unconvert // narrower on other systems
		if !counted[id] {
			counted[id] = true
			total += st.Blocks * blockSize
		}
		return nil
	})
	return total, err
}

// goneIsFine is err, unless a file below dir has gone.
func goneIsFine(path, dir string, err error) error {
	if path != dir && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
