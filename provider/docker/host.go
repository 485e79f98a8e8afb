package docker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types"

	"github.com/kluster-project/kluster/provider"
)

// Host implements provider.Provider.
func (p *Provider) Host(ctx context.Context) (provider.Host, error) {
	version, err := p.api.ServerVersion(ctx)
	if err != nil {
		return provider.Host{}, fmt.Errorf("asking the engine for its version: %w", explain(err))
	}
	info, err := p.api.Info(ctx)
	if err != nil {
		return provider.Host{}, fmt.Errorf("asking the engine about its host: %w", explain(err))
	}
	cgroups, _ := strconv.Atoi(info.CgroupVersion)
	return provider.Host{
		Engine:        engineName(version) + " " + version.Version,
		EngineVersion: version.Version,
		APIVersion:    p.api.ClientVersion(),
		Local:         p.endpoint.local(),
		Endpoint:      p.endpoint.address(),
		Kernel:        info.KernelVersion,
		Arch:          goArch(firstOf(version.Arch, info.Architecture)),
		CPUs:          info.NCPU,
		Memory:        info.MemTotal,
		CgroupVersion: cgroups,
		StorageDriver: info.Driver,
		DataRoot:      info.DockerRootDir,
		DataFree:      freeBytes(info.DockerRootDir),
		Rootless:      slices.ContainsFunc(info.SecurityOptions, isRootless),
		MissingCaps:   slices.Clone(p.missing()),
		ProxyEnv:      p.proxies,
		Prune:         "docker system prune",
		PruneNetworks: "docker network prune",
	}, nil
}

// engineName tells Podman's imitation of the API from the original.
func engineName(v types.Version) string {
	for _, c := range v.Components {
		if strings.HasPrefix(c.Name, "Podman") {
			return c.Name
		}
	}
	return "Docker Engine"
}

func isRootless(option string) bool {
	return slices.Contains(strings.Split(option, ","), "name=rootless")
}

// goArch gives Go's name of a machine's architecture.
func goArch(arch string) string {
	switch arch {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return arch
}
