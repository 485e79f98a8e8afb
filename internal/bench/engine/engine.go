// Package engine asks a Docker engine what the bench wants to know of it.
package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/kluster-project/kluster/internal/bench"
)

// Engine is a bench.Engine.
type Engine struct {
	api *client.Client
}

var _ bench.Engine = (*Engine)(nil)

// New connects to the engine that the DOCKER_* variables name.
func New(ctx context.Context) (*Engine, error) {
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("setting up the client of the engine: %w", err)
	}
	if _, err := api.Ping(ctx); err != nil {
		api.Close()
		return nil, fmt.Errorf("reaching the engine: %w", err)
	}
	return &Engine{api: api}, nil
}

// Close drops idle connections.
func (e *Engine) Close() error { return e.api.Close() }

// Host is the engine's address as DOCKER_HOST takes it.
func (e *Engine) Host() string { return e.api.DaemonHost() }

// Machine implements bench.Engine.
func (e *Engine) Machine(ctx context.Context) (bench.Machine, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return bench.Machine{}, fmt.Errorf("asking the engine about itself: %w", err)
	}
	cgroup := info.CgroupVersion
	if cgroup == "" {
		cgroup = "1"
	}
	return bench.Machine{
		Cores: info.NCPU, MemoryBytes: info.MemTotal, OS: info.OperatingSystem, Kernel: info.KernelVersion,
		Engine: info.ServerVersion, StorageDriver: info.Driver, CgroupVersion: cgroup,
	}, nil
}

// Image implements bench.Engine.
func (e *Engine) Image(ctx context.Context, ref string) (bench.Image, error) {
	i, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return bench.Image{}, fmt.Errorf("image %s: %w", ref, err)
	}
	img := bench.Image{Size: i.Size}
	if i.Config != nil {
		img.Labels = i.Config.Labels
	}
	return img, nil
}

func labelled(label, value string) filters.Args {
	return filters.NewArgs(filters.Arg("label", label+"="+value))
}

// Containers implements bench.Engine.
func (e *Engine) Containers(ctx context.Context, label, value string) ([]bench.Container, error) {
	list, err := e.api.ContainerList(ctx, container.ListOptions{Filters: labelled(label, value)})
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	var out []bench.Container
	for _, s := range list {
		c := bench.Container{ID: s.ID, Name: s.ID, Labels: s.Labels}
		if len(s.Names) > 0 {
			c.Name = strings.TrimPrefix(s.Names[0], "/")
		}
		if s.NetworkSettings != nil {
			for _, n := range s.NetworkSettings.Networks {
				c.Address = n.IPAddress
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// Purge implements bench.Engine.
func (e *Engine) Purge(ctx context.Context, label, value string) error {
	return errors.Join(e.purgeContainers(ctx, label, value), e.purgeVolumes(ctx, label, value), e.purgeNetworks(ctx, label, value))
}

func (e *Engine) purgeContainers(ctx context.Context, label, value string) error {
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: labelled(label, value)})
	if err != nil {
		return fmt.Errorf("listing containers: %w", err)
	}
	var errs []error
	for _, c := range list {
		errs = append(errs, e.api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	return errors.Join(errs...)
}

func (e *Engine) purgeVolumes(ctx context.Context, label, value string) error {
	list, err := e.api.VolumeList(ctx, volume.ListOptions{Filters: labelled(label, value)})
	if err != nil {
		return fmt.Errorf("listing volumes: %w", err)
	}
	var errs []error
	for _, v := range list.Volumes {
		errs = append(errs, e.api.VolumeRemove(ctx, v.Name, true))
	}
	return errors.Join(errs...)
}

func (e *Engine) purgeNetworks(ctx context.Context, label, value string) error {
	list, err := e.api.NetworkList(ctx, network.ListOptions{Filters: labelled(label, value)})
	if err != nil {
		return fmt.Errorf("listing networks: %w", err)
	}
	var errs []error
	for _, n := range list {
		errs = append(errs, e.api.NetworkRemove(ctx, n.ID))
	}
	return errors.Join(errs...)
}
