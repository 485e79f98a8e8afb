package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/doctor"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/docker"
)

// cacheVariable names a folder for kluster's cache other than the usual one.
const cacheVariable = "KLUSTER_CACHE"

// RealDeps work on this machine and its Docker engine.
func RealDeps() Deps {
	return Deps{
		Connect:      func(ctx context.Context) (provider.Provider, error) { return docker.New(ctx) },
		Clusters:     realClusters,
		FreeSubnets:  cluster.FreeSubnets,
		Config:       realConfig,
		RaiseInotify: doctor.RaiseInotify,
		CacheDir:     cacheDir,
	}
}

func realClusters(p provider.Provider, r status.Reporter) (Clusters, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding kluster's own program: %w", err)
	}
	return cluster.New(p, cluster.Options{
		Reporter: r, CacheDir: cache, NodeBinary: filepath.Join(filepath.Dir(self), "kluster-node"),
		Program: self,
	}), nil
}

func cacheDir() (string, error) {
	if dir := os.Getenv(cacheVariable); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", failure.With(fmt.Errorf("finding the cache folder: %w", err), failure.Hint("set %s", cacheVariable))
	}
	return filepath.Join(dir, "kluster"), nil
}

func realConfig() (config.Options, error) {
	catalog, err := nodeimage.LoadCatalog()
	if err != nil {
		return config.Options{}, err
	}
	table, err := addons.Load()
	if err != nil {
		return config.Options{}, err
	}
	return config.Options{
		Addons:             table.Names(),
		KubernetesVersions: catalog.Versions(),
		Runtimes:           cri.Names(),
		OCIRuntimes:        cri.OCINames(),
		KernelHasIPVS:      kernelHas("ip_vs"),
		PathExists: func(path string) bool {
			_, err := os.Stat(path)
			return err == nil
		},
		ReadFile: readSome,
	}, nil
}

// mostOfFile is far above any file of certificates.
const mostOfFile = 4 << 20

// readSome reads a file of no great length.
func readSome(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostOfFile+1))
	if err == nil && len(text) > mostOfFile {
		err = fmt.Errorf("it is larger than %d MiB", mostOfFile>>20)
	}
	return text, err
}

// kernelHas says whether the running kernel has a module, loaded, built in or
// there to be loaded.
func kernelHas(module string) bool {
	if _, err := os.Stat("/sys/module/" + module); err == nil {
		return true
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return false
	}
	for _, list := range []string{"modules.builtin", "modules.dep"} {
		// A host without these lists has no modules to load.
		names, err := os.ReadFile(filepath.Join("/lib/modules", strings.TrimSpace(string(release)), list))
		if err == nil && bytes.Contains(names, []byte("/"+module+".ko")) {
			return true
		}
	}
	return false
}
