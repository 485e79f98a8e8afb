package docker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/kluster-project/kluster/provider"
)

// CreateNode implements provider.Provider.
func (p *Provider) CreateNode(ctx context.Context, spec provider.NodeSpec) (provider.Node, error) {
	req, err := newRequest(spec)
	if err != nil {
		return provider.Node{}, fmt.Errorf("creating node %q: %w", spec.Name, err)
	}
	direct, err := p.layerBinds(ctx, spec)
	if err != nil {
		return provider.Node{}, fmt.Errorf("creating node %q: %w", spec.Name, err)
	}
	req.host.Binds = append(req.host.Binds, direct...)
	if spec.System {
		req.system(spec, p.systemFacts())
	}
	id, err := p.create(ctx, spec.Name, req)
	if err != nil {
		return provider.Node{}, fmt.Errorf("creating node %q: %w", spec.Name, explain(err))
	}
	return p.node(ctx, id)
}

// create makes the container. Engines refuse to drop a capability that they do
// not know, and such a one is not among all of theirs: it is left out.
func (p *Provider) create(ctx context.Context, name string, req *request) (id string, err error) {
	for {
		made, err := p.api.ContainerCreate(ctx, req.config, req.host, req.network, nil, name)
		known := knownCaps(req.host.CapDrop, err)
		if err == nil || len(known) == len(req.host.CapDrop) {
			return made.ID, err
		}
		req.host.CapDrop = known
	}
}

// knownCaps are those that the engine's error does not call unknown.
func knownCaps(caps []string, err error) []string {
	if err == nil || !strings.Contains(err.Error(), "unknown capability") {
		return caps
	}
	return slices.DeleteFunc(slices.Clone(caps), func(name string) bool {
		return strings.Contains(err.Error(), strconv.Quote(name))
	})
}

// request is what the engine is asked to make.
type request struct {
	config  *container.Config
	host    *container.HostConfig
	network *network.NetworkingConfig
}

// newRequest turns a spec into a request for an ordinary node.
func newRequest(spec provider.NodeSpec) (*request, error) {
	exposed, bindings, err := portBindings(spec.Ports)
	if err != nil {
		return nil, err
	}
	binds, err := hostBinds(spec.Mounts)
	if err != nil {
		return nil, err
	}
	withoutInit := false
	req := &request{
		config: &container.Config{
			Hostname: spec.Name, Image: spec.Image, Labels: spec.Labels,
			Env: envList(spec.Env), ExposedPorts: exposed, Entrypoint: spec.Command,
			StopSignal: spec.StopSignal, User: spec.User,
		},
		host: &container.HostConfig{
			NetworkMode: container.NetworkMode(spec.Network), PortBindings: bindings,
			Binds: binds, Mounts: volumes(spec), Tmpfs: tmpfs(spec.Tmpfs),
			ExtraHosts: hostList(spec.Hosts), Init: &withoutInit,
			Resources: limits(spec),
		},
		network: &network.NetworkingConfig{},
	}
	if spec.Restart {
		req.restart()
	}
	if spec.Confined {
		req.host.CapDrop, req.host.SecurityOpt = []string{"ALL"}, []string{"no-new-privileges"}
	}
	if spec.NoNetwork {
		req.host.NetworkMode = network.NetworkNone
	}
	if spec.Network != "" {
		req.network.EndpointsConfig = map[string]*network.EndpointSettings{spec.Network: endpointOf(spec.Addrs)}
	}
	return req, nil
}

// restart asks the engine to start the container whenever it ends or the engine comes back.
func (r *request) restart() {
	labels := map[string]string{restartLabel: ""}
	maps.Copy(labels, r.config.Labels)
	r.config.Labels, r.host.RestartPolicy.Name = labels, policyUp
}

// endpointOf asks for fixed addresses.
func endpointOf(addrs []netip.Addr) *network.EndpointSettings {
	if len(addrs) == 0 {
		return &network.EndpointSettings{}
	}
	ipam := &network.EndpointIPAMConfig{}
	for _, addr := range addrs {
		if addr.Is4() {
			ipam.IPv4Address = addr.String()
		} else {
			ipam.IPv6Address = addr.String()
		}
	}
	return &network.EndpointSettings{IPAMConfig: ipam}
}

// limits are hard: memory and swap together are what was asked for.
func limits(spec provider.NodeSpec) container.Resources {
	return container.Resources{NanoCPUs: int64(spec.CPUs * 1e9), Memory: spec.Memory, MemorySwap: spec.Memory}
}

// volumes are anonymous, so that they go with the node, and labelled, so that
// they are found when it went without them.
func volumes(spec provider.NodeSpec) []mount.Mount {
	var mounts []mount.Mount
	for _, path := range spec.Volumes {
		mounts = append(mounts, mount.Mount{
			Type: mount.TypeVolume, Target: path,
			VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: maps.Clone(spec.Labels)},
		})
	}
	return mounts
}

func tmpfs(paths []string) map[string]string {
	options := map[string]string{}
	for _, path := range paths {
		options[path] = ""
	}
	return options
}

// hostBinds writes mounts in the engine's short form, the one that can ask for
// an SELinux label and makes a host path that does not exist.
func hostBinds(mounts []provider.Mount) ([]string, error) {
	var binds []string
	for _, m := range mounts {
		if strings.Contains(m.HostPath+m.Path, ":") {
			return nil, fmt.Errorf("mount of %q at %q: the engine takes no colon in a path", m.HostPath, m.Path)
		}
		var options []string
		if m.ReadOnly {
			options = append(options, "ro")
		}
		if m.SELinuxRelabel {
			options = append(options, "z")
		}
		if m.Propagation != "" {
			options = append(options, m.Propagation)
		}
		bind := m.HostPath + ":" + m.Path
		if len(options) > 0 {
			bind += ":" + strings.Join(options, ",")
		}
		binds = append(binds, bind)
	}
	return binds, nil
}

// portBindings publishes ports, on the loopback address unless told otherwise.
func portBindings(ports []provider.Port) (nat.PortSet, nat.PortMap, error) {
	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for _, p := range ports {
		if p.HostPort == 0 {
			return nil, nil, fmt.Errorf("port %d has no host port", p.NodePort)
		}
		port, err := nat.NewPort(firstOf(p.Protocol, "tcp"), strconv.Itoa(p.NodePort))
		if err != nil {
			return nil, nil, fmt.Errorf("port %d: %w", p.NodePort, err)
		}
		addr := p.HostAddr
		if !addr.IsValid() {
			addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		exposed[port] = struct{}{}
		bindings[port] = append(bindings[port], nat.PortBinding{HostIP: addr.String(), HostPort: strconv.Itoa(p.HostPort)})
	}
	return exposed, bindings, nil
}

// envList and hostList are sorted, so that the same spec is the same request.
func envList(env map[string]string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

func hostList(hosts map[string]netip.Addr) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		list = append(list, name+":"+hosts[name].String())
	}
	return list
}
