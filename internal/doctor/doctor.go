// Package doctor looks at the host and says, item by item, whether clusters can
// run on it and what to do where they cannot. It changes nothing, but for
// RaiseInotify, which only ever raises a limit.
package doctor

import (
	"context"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"

	"github.com/kluster-project/kluster/provider"
)

// Level is how bad a finding is.
type Level string

// The levels. Warn is something that works but will be missed sooner or later;
// Fail is something without which no cluster can be made.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Check is what was found of one item.
type Check struct {
	Name  string `json:"name"`
	Level Level  `json:"level"`
	// Value is what was found, in a few words.
	Value string `json:"value"`
	// Advice is what to do; empty when all is well.
	Advice string `json:"advice,omitempty"`
}

// Fit says whether no check failed.
func Fit(checks []Check) bool {
	for _, c := range checks {
		if c.Level == Fail {
			return false
		}
	}
	return true
}

// Host is what the checks look at. Tests replace its parts.
type Host struct {
	// Connect reaches the engine.
	Connect func(ctx context.Context) (provider.Provider, error)
	// Root is the root of the file system, for proc/sys and proc/meminfo.
	Root fs.FS
	// LookPath finds programs.
	LookPath func(name string) (string, error)
	// Command runs a program and gives its standard output.
	Command func(ctx context.Context, name string, args ...string) (string, error)
	// FreeSubnets gives the subnets that a new cluster could use, some of them,
	// given those of the engine's networks.
	FreeSubnets func(taken []netip.Prefix) ([]netip.Prefix, error)
}

// ThisHost is the machine kluster runs on. connect reaches its engine and free
// finds subnets for new clusters.
func ThisHost(connect func(context.Context) (provider.Provider, error), free func([]netip.Prefix) ([]netip.Prefix, error)) Host {
	return Host{
		Connect:  connect,
		Root:     os.DirFS("/"),
		LookPath: exec.LookPath,
		Command: func(ctx context.Context, name string, args ...string) (string, error) {
			out, err := exec.CommandContext(ctx, name, args...).Output()
			return string(out), err
		},
		FreeSubnets: free,
	}
}

// checks are all items, in the order they are shown.
var checks = []struct {
	name string
	look func(e *examination, ctx context.Context) finding
}{
	{"engine", (*examination).reach},
	{"engine location", (*examination).location},
	{"capabilities", (*examination).capabilities},
	{"cgroups", (*examination).cgroups},
	{"storage driver", (*examination).storage},
	{"disk", (*examination).disk},
	{"memory", (*examination).memory},
	{"cpus", (*examination).cpus},
	{"inotify instances", (*examination).inotifyInstances},
	{"inotify watches", (*examination).inotifyWatches},
	{"subnets", (*examination).subnets},
	{"go toolchain", (*examination).goToolchain},
	{"mmdebstrap", (*examination).mmdebstrap},
}
