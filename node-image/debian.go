package nodeimage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

const debianArchive = "Debian's archive"

// root is a root file system made of Debian packages.
type root struct {
	layer    *fileLayer
	packages []nodespec.PackageRecord
	dir      string
}

// debianRoot makes a root file system with mmdebstrap. What it consists of is
// pinned by the suite's signature; the exact versions are recorded.
func (b *builder) debianRoot(ctx context.Context, r Root) (root, error) {
	inputs := struct {
		Root     Root
		Packages []string
		Arch     string
		Format   int
		Whole    bool `json:",omitempty"` // no files are left out
	}{r, b.packagesOf(r), b.r.Arch, rootFormat, r.extracted()}
	inputs.Root.Estimate = 0
	dir, err := b.step(ctx, "root-"+r.Name, inputs, func(dir string) error {
		raw := filepath.Join(dir, "raw.tar")
		if err := b.mmdebstrap(ctx, r, inputs.Packages, raw); err != nil {
			return err
		}
		defer os.Remove(raw)
		return cleanRoot(ctx, raw, dir)
	})
	if err != nil {
		return root{}, err
	}
	return openRoot(dir)
}

func openRoot(dir string) (root, error) {
	layer, err := openLayer(dir)
	if err != nil {
		return root{}, err
	}
	out := root{layer: layer, dir: dir}
	data, err := os.ReadFile(filepath.Join(dir, "packages.json"))
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(data, &out.packages)
}

func (b *builder) packagesOf(r Root) []string {
	out := slices.Clone(r.Packages)
	for _, other := range b.r.Roots {
		if r.From != "" && other.Name == r.From {
			out = append(b.packagesOf(other), out...)
		}
	}
	return out
}

// sourceDate is the time of every file, in seconds since 1970.
const sourceDate = 0

func (b *builder) mmdebstrap(ctx context.Context, r Root, packages []string, out string) error {
	if _, err := exec.LookPath(b.r.env.Mmdebstrap); err != nil {
		return &HostError{Reason: "mmdebstrap is not installed", Remedy: "install the package mmdebstrap"}
	}
	if _, err := os.Stat(b.r.env.Keyring); err != nil {
		return &HostError{Reason: "the keys of Debian's archive are missing: " + err.Error(), Remedy: "install the package debian-archive-keyring"}
	}
	mirrors, err := b.r.env.mirrors(ctx, r.Suite)
	if err != nil {
		return err
	}
	args := []string{
		"--format=tar", "--variant=" + r.Variant, "--architectures=" + b.r.Arch,
		"--include=" + strings.Join(packages, ","),
	}
	if !r.extracted() { // their version stands in a file of usr/share/doc
		for _, p := range excluded {
			args = append(args, "--dpkgopt=path-exclude="+p)
		}
		args = append(args, "--hook-dir="+mergedUsr)
	}
	for _, o := range aptOptions(ctx) {
		args = append(args, "--aptopt="+o)
	}
	args = append(append(args, r.Suite, out), mirrors...)
	cmd := exec.CommandContext(ctx, b.r.env.Mmdebstrap, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", sourceDate), "LC_ALL=C", "TMPDIR="+filepath.Dir(out))
	return runCommand(ctx, cmd, debianArchive)
}

// mergedUsr are mmdebstrap's own hooks that make /bin and the like links into
// /usr from the start. Without them apt satisfies that with the package usrmerge,
// which brings all of perl (47 MB).
const mergedUsr = "/usr/share/mmdebstrap/hooks/merged-usr"

// rootFormat changes when the same packages give another root.
const rootFormat = 2

// extracted says whether packages are unpacked but not installed.
func (r *Root) extracted() bool { return r.Variant == "extract" }

// excluded is what no node reads.
var excluded = []string{
	"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*",
	"/usr/share/lintian/*", "/usr/share/bash-completion/*", "/usr/lib/udev/hwdb.d/*",
}

// HostError is something the machine lacks.
type HostError struct{ Reason, Remedy string }

func (e *HostError) Error() string { return e.Reason + ": " + e.Remedy }

// ExitCode is that of an unfit host.
func (e *HostError) ExitCode() int { return exitUnfit }

// The exit codes that errors here ask for.
const (
	exitBadInput = 2
	exitUnfit    = 4
)
