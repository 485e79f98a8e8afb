// Package local is what kluster works with on this machine: the engine, the cache, its
// own programs and what clusters can be made of. The command and the public package
// start from here.
package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/docker"
)

// connectTime bounds the first exchange with the engine: one that is starting,
// or hangs, accepts connections and answers nothing.
const connectTime = 20 * time.Second

// Connect reaches the engine, or says that it does not answer.
func Connect(ctx context.Context) (provider.Provider, error) {
	return connect(ctx, func(ctx context.Context) (provider.Provider, error) { return docker.New(ctx) })
}

func connect(ctx context.Context, to func(context.Context) (provider.Provider, error)) (provider.Provider, error) {
	silent := fmt.Errorf("%w: it accepts connections and has not answered for %v", provider.ErrUnavailable, connectTime)
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, silent)
	defer cancel()
	p, err := to(ctx)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(context.Cause(ctx), silent):
		return nil, silent
	}
	return nil, err
}

// cacheVariable names a folder for kluster's cache other than the usual one.
const cacheVariable = "KLUSTER_CACHE"

// CacheDir is the folder of what image builds keep.
func CacheDir() (string, error) {
	if dir := os.Getenv(cacheVariable); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", failure.With(fmt.Errorf("finding the cache folder: %w", err), failure.Hint("set %s", cacheVariable))
	}
	return filepath.Join(dir, "kluster"), nil
}

// The names of kluster's programs, which lie side by side.
const (
	program     = "kluster"
	nodeProgram = "kluster-node"
)

// Program is the path of the kluster program, which this process need not be: it is found
// as commands are; "" if it is not.
func Program() (string, error) {
	found, err := exec.LookPath(program)
	if err != nil {
		return "", nil
	}
	return filepath.Abs(found)
}

// NodeProgram is the path of the program that goes into nodes, by that of kluster.
func NodeProgram(kluster string) string { return filepath.Join(filepath.Dir(kluster), nodeProgram) }

// Config says what a cluster can be made of.
func Config() (config.Options, error) {
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
