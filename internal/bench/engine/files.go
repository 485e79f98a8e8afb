package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/kluster-project/kluster/internal/bench"
)

// ReadFile implements bench.Engine. It looks through /proc where it may, which
// costs next to nothing; the engine mounts a container's file system for it.
func (e *Engine) ReadFile(ctx context.Context, c bench.Container, path string) ([]byte, error) {
	i, err := e.api.ContainerInspect(ctx, c.ID)
	if err != nil {
		return nil, fmt.Errorf("inspecting %s: %w", c.Name, err)
	}
	if i.State != nil && isOf(i.State.Pid, c.ID) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/root%s", i.State.Pid, path))
		if !errors.Is(err, os.ErrPermission) {
			return data, err
		}
	}
	return e.copyFile(ctx, c, path)
}

// isOf says whether a process of this machine belongs to a container: the engine
// may number processes in a namespace of its own.
func isOf(pid int, id string) bool {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return pid > 0 && err == nil && strings.Contains(string(groups), id)
}

func (e *Engine) copyFile(ctx context.Context, c bench.Container, path string) ([]byte, error) {
	r, _, err := e.api.CopyFromContainer(ctx, c.ID, path)
	if errdefs.IsNotFound(err) {
		return nil, os.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	tr := tar.NewReader(r)
	if _, err := tr.Next(); err != nil {
		return nil, err
	}
	return io.ReadAll(tr)
}

// scratchLabel marks what belongs to no cluster but to the bench itself.
const scratchLabel = "io.kluster.bench"

// Extract implements bench.Engine.
func (e *Engine) Extract(ctx context.Context, image, script, folder string, visit func(*tar.Header, io.Reader) error) (err error) {
	made, err := e.api.ContainerCreate(ctx,
		&container.Config{Image: image, Entrypoint: []string{"sh", "-euc", script}, Labels: map[string]string{scratchLabel: "extract"}},
		&container.HostConfig{NetworkMode: network.NetworkNone}, nil, nil, "")
	if err != nil {
		return fmt.Errorf("creating a container: %w", err)
	}
	defer func() {
		remove := container.RemoveOptions{Force: true, RemoveVolumes: true}
		err = errors.Join(err, e.api.ContainerRemove(context.WithoutCancel(ctx), made.ID, remove))
	}()
	if err := e.runToEnd(ctx, made.ID); err != nil {
		return err
	}
	r, _, err := e.api.CopyFromContainer(ctx, made.ID, folder)
	if err != nil {
		return fmt.Errorf("copying %s: %w", folder, err)
	}
	defer r.Close()
	return eachEntry(tar.NewReader(r), visit)
}

func eachEntry(r *tar.Reader, visit func(*tar.Header, io.Reader) error) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading files of a container: %w", err)
		}
		if err := visit(h, r); err != nil {
			return err
		}
	}
}

// runToEnd runs a container; one that fails is an error with what it said.
func (e *Engine) runToEnd(ctx context.Context, id string) error {
	ended, failed := e.api.ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := e.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return fmt.Errorf("starting a container: %w", err)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("waiting for a container: %w", err)
	case end := <-ended:
		if end.StatusCode == 0 {
			return nil
		}
		return fmt.Errorf("the container ended with %d: %s", end.StatusCode, e.said(ctx, id))
	}
}

func (e *Engine) said(ctx context.Context, id string) string {
	r, err := e.api.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "20"})
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	var text strings.Builder
	if _, err := stdcopy.StdCopy(&text, &text, r); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(text.String())
}

// Scratch implements bench.Engine.
func (e *Engine) Scratch(ctx context.Context) (dir string, remove func(context.Context) error, err error) {
	v, err := e.api.VolumeCreate(ctx, volume.CreateOptions{Labels: map[string]string{scratchLabel: "scratch"}})
	if err != nil {
		return "", nil, fmt.Errorf("creating a volume: %w", err)
	}
	remove = func(ctx context.Context) error { return e.api.VolumeRemove(ctx, v.Name, true) }
	if !writable(v.Mountpoint) {
		return "", remove, nil
	}
	return v.Mountpoint, remove, nil
}

func writable(dir string) bool {
	f, err := os.Create(filepath.Join(dir, ".bench"))
	if err != nil {
		return false
	}
	f.Close()
	os.Remove(f.Name())
	return true
}
