package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/sys/unix"
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
	file, err := inMemory("kubeconfig", conf)
	if err != nil {
		return fmt.Errorf("making a kubeconfig for kubectl: %w", err)
	}
	defer file.Close()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.ExtraFiles = []*os.File{file} // the first of them is 3
	cmd.Env = append(os.Environ(), "KUBECONFIG=/proc/self/fd/3")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.streams.In, a.streams.Out, a.streams.Err
	// An interruption gives kubectl a chance to end by itself.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ctx.Err() == nil {
		return statusOf(ended)
	}
	return err
}

// inMemory is a file without a name in any folder: its content is gone with the
// last process that has it open, however that ends.
func inMemory(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(content); err != nil {
		return nil, errors.Join(fmt.Errorf("writing a file in memory: %w", err), f.Close())
	}
	return f, nil
}

// statusOf is the code that a shell would give: 128 and its number for a signal.
func statusOf(ended *exec.ExitError) exitStatus {
	if how, ok := ended.Sys().(syscall.WaitStatus); ok && how.Signaled() {
		return exitStatus(128 + int(how.Signal()))
	}
	return exitStatus(ended.ExitCode())
}
