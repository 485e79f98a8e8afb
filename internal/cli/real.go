package cli

import (
	"fmt"
	"os"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/doctor"
	"github.com/kluster-project/kluster/internal/local"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// RealDeps work on this machine and its Docker engine.
func RealDeps() Deps {
	return Deps{
		Connect:      local.Connect,
		Clusters:     realClusters,
		FreeSubnets:  cluster.FreeSubnets,
		Config:       local.Config,
		RaiseInotify: doctor.RaiseInotify,
		CacheDir:     local.CacheDir,
	}
}

func realClusters(p provider.Provider, r status.Reporter) (Clusters, error) {
	cache, err := local.CacheDir()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding kluster's own program: %w", err)
	}
	return cluster.New(p, cluster.Options{Reporter: r, CacheDir: cache, NodeBinary: local.NodeProgram(self), Program: self}), nil
}
