package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/term"
)

// hostKubectl finds a kubectl of version's minor release beside this program
// or on the PATH; "" if there is none.
func (a *app) hostKubectl(ctx context.Context, version string) string {
	var found []string
	if self, err := os.Executable(); err == nil {
		found = append(found, filepath.Join(filepath.Dir(self), "kubectl"))
	}
	if path, err := exec.LookPath("kubectl"); err == nil {
		found = append(found, path)
	}
	for _, path := range found {
		if sameMinor(clientVersion(ctx, path), version) {
			return path
		}
	}
	return ""
}

// clientVersion is the version of a kubectl; "" if it cannot be had.
func clientVersion(ctx context.Context, kubectl string) string {
	out, err := exec.CommandContext(ctx, kubectl, "version", "--client", "-o", "json").Output()
	if err != nil {
		return ""
	}
	var v struct {
		ClientVersion struct {
			GitVersion string `json:"gitVersion"`
		} `json:"clientVersion"`
	}
	if err := json.Unmarshal(out, &v); err != nil {
		return ""
	}
	return v.ClientVersion.GitVersion
}

func sameMinor(a, b string) bool {
	va, err := semver.NewVersion(a)
	if err != nil {
		return false
	}
	vb, err := semver.NewVersion(b)
	return err == nil && va.Major() == vb.Major() && va.Minor() == vb.Minor()
}

// runHostKubectl runs a kubectl of the host with a kubeconfig of its own, so
// that it reaches this cluster whatever the user's current context is.
func (a *app) runHostKubectl(ctx context.Context, clusters Clusters, name, path string, args []string) error {
	conf, err := clusters.Kubeconfig(ctx, name, false)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kluster-kubectl-")
	if err != nil {
		return fmt.Errorf("making a kubeconfig for kubectl: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		return fmt.Errorf("making a kubeconfig for kubectl: %w", err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.streams.In, a.streams.Out, a.streams.Err
	// An interruption gives kubectl a chance to end by itself.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ctx.Err() == nil {
		return exitStatus(ended.ExitCode())
	}
	return err
}

// wantsTerminal says whether kubectl's own arguments ask for a terminal (exec,
// run and attach with -it) and there is one to give.
func (a *app) wantsTerminal(args []string) bool {
	in, ok := a.streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return false
	}
	for _, arg := range args {
		switch {
		case arg == "--":
			return false
		case arg == "--tty", arg == "--tty=true", arg == "-t", strings.HasPrefix(arg, "-it"), strings.HasPrefix(arg, "-ti"):
			return true
		}
	}
	return len(args) > 0 && args[0] == "edit"
}
