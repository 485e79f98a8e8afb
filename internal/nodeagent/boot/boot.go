// Package boot prepares a node for systemd. A container is not quite the
// machine that systemd, a container runtime and the kubelet expect: its cgroups
// are read-only, it has its siblings' machine-id, its DNS server cannot be
// reached from pods. Steps is what is repaired, one named step each; Run does
// all of them, at every start of the node, and may be repeated on a node that
// is already prepared.
package boot

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Step is one repair.
type Step struct {
	Name string
	// Why says what goes wrong on a node without it.
	Why string
	// Needed steps end the boot when they fail; others are reported, since a
	// node that lacks one of them still works for most.
	Needed bool
	// When, if not nil, says whether this machine needs the step.
	When func(*Machine) bool
	Run  func(context.Context, *Machine) error
}

// Machine is the node being prepared, as the steps see it.
type Machine struct {
	// Root is put before every path: "" on a node, a folder in tests.
	Root   string
	Kernel Kernel
	Node   nodespec.Node
	// Getenv reads the environment the engine gave to the first process.
	Getenv func(string) string
	Log    *slog.Logger
}

// Kernel is what steps do besides reading and writing files.
type Kernel interface {
	Mount(source, target, fstype string, flags uintptr, data string) error
	Unmount(target string) error
	// FilesystemType is the magic number of the file system that path is on.
	FilesystemType(path string) (int64, error)
	// MaxOpenFiles is the hard limit of open files.
	MaxOpenFiles() (uint64, error)
	// Output runs a command with stdin and gives its standard output; its
	// error carries what the command wrote to stderr.
	Output(ctx context.Context, stdin, name string, args ...string) (string, error)
}

// stepTimeout ends a step whose command hangs; none takes a second.
const stepTimeout = 20 * time.Second

// Run does the steps in order. It stops at the first needed one that fails.
func Run(ctx context.Context, m *Machine, steps []Step) error {
	for _, step := range steps {
		if step.When != nil && !step.When(m) {
			continue
		}
		if err := runStep(ctx, m, step); err != nil {
			if step.Needed {
				return fmt.Errorf("preparing the node: %s: %w", step.Name, err)
			}
			m.Log.Warn("node is not fully prepared", "step", step.Name, "consequence", step.Why, "error", err)
		}
	}
	return nil
}

func runStep(ctx context.Context, m *Machine, step Step) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	start := time.Now()
	err := step.Run(ctx, m)
	m.record(step.Name, start, err)
	return err
}

// path is where p lies on this machine.
func (m *Machine) path(p string) string { return filepath.Join("/", m.Root, p) }

// rel is path's inverse.
func (m *Machine) rel(p string) string {
	if m.Root == "" {
		return p
	}
	return strings.TrimPrefix(p, filepath.Clean(m.Root))
}
