package harness

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Engine looks at clusters from below: it reads and breaks containers without
// asking kluster.
type Engine struct {
	API *client.Client
}

// NewEngine connects to the engine the DOCKER_* variables name and checks that
// it answers.
func NewEngine(ctx context.Context) (*Engine, error) {
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	if _, err := api.Ping(ctx); err != nil {
		return nil, fmt.Errorf("reaching the engine: %w", err)
	}
	return &Engine{API: api}, nil
}

// SpecEngine is NewEngine for a spec, or for a BeforeAll: it closes with it.
func SpecEngine(ctx ginkgo.SpecContext) *Engine {
	ginkgo.GinkgoHelper()
	e, err := NewEngine(ctx)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(e.API.Close)
	return e
}

// Container is a container of a cluster as the engine sees it.
type Container struct {
	ID, Name string
	Role     nodespec.Role
	Running  bool
	Labels   map[string]string
	// Address is its fixed address on the cluster's network.
	Address string
	// Ports maps "16443/tcp" to "127.0.0.1:40123".
	Ports map[string]string
	// Volumes are the names of its volumes.
	Volumes []string
	Started time.Time
}

func ofCluster(name string) filters.Args {
	return filters.NewArgs(filters.Arg("label", nodespec.LabelCluster+"="+name))
}

// Containers lists a cluster's containers, by name.
func (e *Engine) Containers(ctx context.Context, cluster string) ([]Container, error) {
	list, err := e.API.ContainerList(ctx, container.ListOptions{All: true, Filters: ofCluster(cluster)})
	if err != nil {
		return nil, err
	}
	var out []Container
	for _, s := range list {
		c, err := e.Inspect(ctx, s.ID)
		if errdefs.IsNotFound(err) {
			continue // removed since it was listed
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Container) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Inspect describes one container by name or ID.
func (e *Engine) Inspect(ctx context.Context, id string) (Container, error) {
	i, err := e.API.ContainerInspect(ctx, id)
	if err != nil {
		return Container{}, err
	}
	c := Container{
		ID: i.ID, Name: strings.TrimPrefix(i.Name, "/"), Running: i.State.Running,
		Labels: i.Config.Labels, Role: nodespec.Role(i.Config.Labels[nodespec.LabelRole]),
		Ports: map[string]string{},
	}
	for _, n := range i.NetworkSettings.Networks {
		c.Address = n.IPAddress
	}
	for port, bindings := range i.HostConfig.PortBindings {
		for _, b := range bindings {
			c.Ports[string(port)] = b.HostIP + ":" + b.HostPort
		}
	}
	for _, m := range i.Mounts {
		if m.Type == "volume" {
			c.Volumes = append(c.Volumes, m.Name)
		}
	}
	c.Started, _ = time.Parse(time.RFC3339Nano, i.State.StartedAt)
	return c, nil
}

// Leftovers names everything of a cluster that the engine still holds, one
// "container x", "network y" or "volume z" each. Containers and networks are
// also found by the names they would have, labelled or not.
func (e *Engine) Leftovers(ctx context.Context, cluster string) ([]string, error) {
	var left []string
	list, err := e.API.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		name := strings.TrimPrefix(c.Names[0], "/")
		if c.Labels[nodespec.LabelCluster] == cluster || strings.HasPrefix(name, cluster+"-") {
			left = append(left, "container "+name)
		}
	}
	nets, err := e.API.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, n := range nets {
		if n.Labels[nodespec.LabelCluster] == cluster || n.Name == cluster {
			left = append(left, "network "+n.Name)
		}
	}
	vols, err := e.Volumes(ctx, cluster)
	for _, v := range vols {
		left = append(left, "volume "+v)
	}
	return left, err
}

// Volumes lists the names of the volumes that carry the cluster's label.
func (e *Engine) Volumes(ctx context.Context, cluster string) ([]string, error) {
	vols, err := e.API.VolumeList(ctx, volume.ListOptions{Filters: ofCluster(cluster)})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, v := range vols.Volumes {
		out = append(out, v.Name)
	}
	return out, nil
}

// Networks lists the names of the networks that carry the cluster's label.
func (e *Engine) Networks(ctx context.Context, cluster string) ([]string, error) {
	nets, err := e.API.NetworkList(ctx, network.ListOptions{Filters: ofCluster(cluster)})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range nets {
		out = append(out, n.Name)
	}
	return out, nil
}

// Kill sends SIGKILL to a container's first process.
func (e *Engine) Kill(ctx context.Context, name string) error {
	return e.API.ContainerKill(ctx, name, "KILL")
}

// Start starts a container.
func (e *Engine) Start(ctx context.Context, name string) error {
	return e.API.ContainerStart(ctx, name, container.StartOptions{})
}

// Stop stops a container, killing it after ten seconds.
func (e *Engine) Stop(ctx context.Context, name string) error {
	grace := 10
	return e.API.ContainerStop(ctx, name, container.StopOptions{Timeout: &grace})
}

// Restart restarts a container, killing it after ten seconds.
func (e *Engine) Restart(ctx context.Context, name string) error {
	grace := 10
	return e.API.ContainerRestart(ctx, name, container.StopOptions{Timeout: &grace})
}

// Remove kills and removes a container, but not its volumes.
func (e *Engine) Remove(ctx context.Context, name string) error {
	return e.API.ContainerRemove(ctx, name, container.RemoveOptions{Force: true})
}
