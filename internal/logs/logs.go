// Package logs takes the evidence out of a cluster's nodes: what their first
// process printed, their journals, and what runs in them. It leaves out
// /etc/kubernetes and anything else that holds keys.
package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/provider"
)

// source is one file of evidence about a node and the command that prints it.
type source struct {
	file string
	args []string
}

// journal is a command that prints the journal, of some units or of all.
func journal(units ...string) []string {
	args := []string{"journalctl", "--no-pager", "-o", "short-precise"}
	for _, unit := range units {
		args = append(args, "--unit", unit)
	}
	return args
}

var sources = []source{
	{"journal.log", journal()},
	{"kubelet.log", journal("kubelet")},
	{"runtime.log", journal(runtimeUnits()...)},
	{"units.txt", []string{"systemctl", "--no-pager", "--failed", "--all"}},
	{"containers.txt", []string{"crictl", "ps", "-a"}},
	{"addresses.txt", []string{"ip", "address"}},
}

// runtimeUnits are those of every runtime; a node's journal has some.
func runtimeUnits() []string {
	var units []string
	for _, name := range cri.Names() {
		if r, err := cri.Get(name); err == nil {
			units = append(units, r.LogUnits...)
		}
	}
	return units
}

// Collect writes the evidence of nodes below dir, a folder per node, as far as
// it can be had. The error names what could not; the rest is there.
func Collect(ctx context.Context, p provider.Provider, nodes []provider.Node, dir string) error {
	errs := make([]error, len(nodes))
	var g errgroup.Group
	for i, n := range nodes {
		g.Go(func() error { errs[i] = collectNode(ctx, p, n, filepath.Join(dir, n.Name)); return nil })
	}
	_ = g.Wait() // the functions give their errors in errs
	return errors.Join(errs...)
}

func collectNode(ctx context.Context, p provider.Provider, n provider.Node, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a folder for the logs of %s: %w", n.Name, err)
	}
	errs := []error{write(filepath.Join(dir, "console.log"), func(w io.Writer) error { return p.Logs(ctx, n.ID, w) })}
	if n.State == provider.StateRunning {
		for _, s := range sources {
			errs = append(errs, write(filepath.Join(dir, s.file), func(w io.Writer) error {
				return p.Exec(ctx, n.ID, provider.Command{Args: s.args, Stdout: w, Stderr: w})
			}))
		}
		errs = append(errs, podLogs(ctx, p, n, dir))
	}
	return errors.Join(errs...)
}

// podLogs takes the logs of the pods' containers, the last lines of each.
func podLogs(ctx context.Context, p provider.Provider, n provider.Node, dir string) error {
	const script = `cd /var/log/pods 2>/dev/null && for f in */*/*.log; do [ -f "$f" ] && echo "==> $f <==" && tail -n 200 "$f"; done; true`
	return write(filepath.Join(dir, "pods.log"), func(w io.Writer) error {
		return p.Exec(ctx, n.ID, provider.Command{Args: []string{"sh", "-c", script}, Stdout: w, Stderr: w})
	})
}

func write(path string, produce func(io.Writer) error) error {
	var buf bytes.Buffer
	perr := produce(&buf)
	if buf.Len() == 0 {
		return perr
	}
	return errors.Join(perr, os.WriteFile(path, buf.Bytes(), 0o600))
}
